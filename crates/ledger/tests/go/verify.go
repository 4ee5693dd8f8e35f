// Checks a ledger's folder with Go's own sumdb packages, none of our code:
// the checkpoint's signature, the root out of the tiles, every entry's hash and its inclusion.
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go run verify.go FOLDER VKEY
//
// On Debian the packages are in golang-go and golang-golang-x-mod-dev.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

// folder serves tiles; tlog-tiles leaves out the height that sumdb has in its paths.
type folder string

func (f folder) Height() int { return tileHeight }

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(string(f), path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

// readEntries splits the bundles into entries.
func readEntries(f folder, size int64) ([][]byte, error) {
	var entries [][]byte
	for first := int64(0); first < size; first += 1 << tileHeight {
		width := size - first
		if width > 1<<tileHeight {
			width = 1 << tileHeight
		}
		tile := tlog.Tile{H: tileHeight, L: -1, N: first >> tileHeight, W: int(width)}
		path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(string(f), path))
		if err != nil {
			return nil, err
		}
		for len(data) >= 2 {
			length := int(binary.BigEndian.Uint16(data))
			if len(data) < 2+length {
				return nil, fmt.Errorf("%s is cut", path)
			}
			entries = append(entries, data[2:2+length])
			data = data[2+length:]
		}
		if len(data) != 0 {
			return nil, fmt.Errorf("%s has a rest", path)
		}
	}
	if int64(len(entries)) != size {
		return nil, fmt.Errorf("%d entries, the checkpoint says %d", len(entries), size)
	}
	return entries, nil
}

func verify(f folder, vkey string) (int64, error) {
	signed, err := os.ReadFile(filepath.Join(string(f), "checkpoint"))
	if err != nil {
		return 0, err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return 0, err
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return 0, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return 0, fmt.Errorf("the checkpoint is of another log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return 0, err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return 0, err
	}
	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, f)
	computed, err := tlog.TreeHash(size, reader)
	if err != nil {
		return 0, err
	}
	if computed != root {
		return 0, fmt.Errorf("the tiles have root %v, the checkpoint says %v", computed, root)
	}
	entries, err := readEntries(f, size)
	if err != nil {
		return 0, err
	}
	for index, entry := range entries {
		proof, err := tlog.ProveRecord(size, int64(index), reader)
		if err != nil {
			return 0, err
		}
		err = tlog.CheckRecord(proof, size, root, int64(index), tlog.RecordHash(entry))
		if err != nil {
			return 0, fmt.Errorf("entry %d: %v", index, err)
		}
	}
	return size, nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: verify FOLDER VKEY")
		os.Exit(2)
	}
	size, err := verify(folder(os.Args[1]), os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("verified %d entries\n", size)
}
