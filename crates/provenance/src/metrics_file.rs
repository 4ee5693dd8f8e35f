//! Metrics from the JSON files that a run writes.
//!
//! Read by a reader of our own for two reasons: Python's `json` writes `NaN`, `Infinity` and `-Infinity`,
//! which no strict reader takes; and numbers must become the nearest double, bit for bit what Python had.

use crate::ProvenanceError;

/// One number of a metrics file.
#[derive(Clone, Debug, PartialEq)]
pub struct FileMetric {
    /// Its key: the keys on the way to it, joined with `.`.
    pub key: String,
    /// Its value.
    pub value: f64,
    /// Its step: 0 in a single document.
    pub step: i64,
}

/// Reads all numbers of a metrics file.
///
/// A file is one JSON document, or JSON lines, or a list of objects.
/// In the last two, each object's own whole number `step` is its step; where there is none, its place from 0.
/// Booleans, texts and lists within objects are no metrics.
///
/// *Errors*: `MetricsFile` where the text is not JSON, with the place.
pub fn read_metrics_file(text: &str) -> Result<Vec<FileMetric>, ProvenanceError> {
    let mut reader = Reader { text, at: 0 };
    reader.skip_space();
    let mut documents = Vec::new();
    let mut is_list = false;
    while reader.at < text.len() {
        if reader.peek() == Some(b'[') && documents.is_empty() {
            is_list = true;
            reader.list(
                |reader| {
                    documents.push(reader.document()?);
                    Ok(())
                },
                0,
            )?;
        } else {
            documents.push(reader.document()?);
        }
        reader.skip_space();
        if is_list && reader.at < text.len() {
            return Err(reader.refuse("the end of the file"));
        }
    }
    let has_steps = is_list || documents.len() > 1;
    let mut metrics = Vec::new();
    for (place, numbers) in documents.into_iter().enumerate() {
        let own_step = numbers
            .iter()
            .find(|(key, _)| key == "step")
            .and_then(|&(_, value)| as_step(value));
        let step = if has_steps {
            own_step.unwrap_or(place as i64)
        } else {
            0
        };
        metrics.extend(
            numbers
                .into_iter()
                .filter(|(key, _)| !(has_steps && own_step.is_some() && key == "step"))
                .map(|(key, value)| FileMetric { key, value, step }),
        );
    }
    Ok(metrics)
}

/// A step is a whole number that a double holds exactly.
fn as_step(value: f64) -> Option<i64> {
    let limit = (1_i64 << 53) as f64;
    (value.fract() == 0.0 && value.abs() <= limit).then_some(value as i64)
}

/// Nesting beyond this is refused, so that a forged file cannot exhaust the stack.
const LARGEST_DEPTH: usize = 128;

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    /// Reads one value and gives its numbers by their joined keys; a bare number has no key and is left out.
    fn document(&mut self) -> Result<Vec<(String, f64)>, ProvenanceError> {
        let mut numbers = Vec::new();
        self.value(&mut String::new(), &mut numbers, 0)?;
        Ok(numbers)
    }

    fn value(
        &mut self,
        key: &mut String,
        numbers: &mut Vec<(String, f64)>,
        depth: usize,
    ) -> Result<(), ProvenanceError> {
        if depth > LARGEST_DEPTH {
            return Err(self.refuse("at most 128 levels"));
        }
        match self.peek() {
            Some(b'{') => self.object(key, numbers, depth),
            Some(b'[') => self.list(
                |reader| reader.value(&mut String::new(), &mut Vec::new(), depth + 1),
                depth,
            ),
            Some(b'"') => self.string().map(drop),
            _ => {
                if let Some(value) = self.scalar()?
                    && !key.is_empty()
                {
                    numbers.push((key.clone(), value));
                }
                Ok(())
            }
        }
    }

    fn object(
        &mut self,
        key: &mut String,
        numbers: &mut Vec<(String, f64)>,
        depth: usize,
    ) -> Result<(), ProvenanceError> {
        let length = key.len();
        self.sequence(b'{', b'}', "`,` or `}`", |reader| {
            let name = reader.string()?;
            reader.skip_space();
            reader.expect(b':', "`:`")?;
            reader.skip_space();
            if !key.is_empty() {
                key.push('.');
            }
            key.push_str(&name);
            reader.value(key, numbers, depth + 1)?;
            key.truncate(length);
            Ok(())
        })
    }

    fn list(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<(), ProvenanceError>,
        depth: usize,
    ) -> Result<(), ProvenanceError> {
        debug_assert!(depth <= LARGEST_DEPTH, "checked by the caller");
        self.sequence(b'[', b']', "`,` or `]`", item)
    }

    fn sequence(
        &mut self,
        open: u8,
        close: u8,
        expected: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<(), ProvenanceError>,
    ) -> Result<(), ProvenanceError> {
        self.expect(open, expected)?;
        self.skip_space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.skip_space();
            item(self)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.refuse(expected)),
            }
        }
    }

    /// Reads a string, its quotes and escapes resolved.
    fn string(&mut self) -> Result<String, ProvenanceError> {
        if self.peek() != Some(b'"') {
            return Err(self.refuse("a key or a text in quotes"));
        }
        let bytes = self.text.as_bytes();
        let mut end = self.at + 1;
        while end < bytes.len() && bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let whole = self
            .text
            .get(self.at..=end)
            .and_then(|quoted| serde_json::from_str(quoted).ok());
        let text =
            whole.ok_or_else(|| self.refuse("a text that ends and whose escapes are right"))?;
        self.at = end + 1;
        Ok(text)
    }

    /// Reads a number, `true`, `false` or `null`; gives a number's value.
    fn scalar(&mut self) -> Result<Option<f64>, ProvenanceError> {
        let rest = &self.text[self.at..];
        let end = rest
            .find(|character: char| {
                !character.is_ascii_alphanumeric() && !matches!(character, '+' | '-' | '.')
            })
            .unwrap_or(rest.len());
        let word = &rest[..end];
        let value = match word {
            "true" | "false" | "null" => None,
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => Some(number(word).ok_or_else(|| self.refuse("a value"))?),
        };
        self.at += end;
        Ok(value)
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), ProvenanceError> {
        if self.peek() != Some(byte) {
            return Err(self.refuse(expected));
        }
        self.at += 1;
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        // A byte order mark is what some Windows tools begin a file with.
        if self.at == 0 && self.text.starts_with('\u{feff}') {
            self.at = '\u{feff}'.len_utf8();
        }
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn refuse(&self, expected: &'static str) -> ProvenanceError {
        let before = &self.text.as_bytes()[..self.at.min(self.text.len())];
        let line_start = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        ProvenanceError::MetricsFile {
            line: String::from_utf8_lossy(before).matches('\n').count() + 1,
            column: before.len() - line_start + 1,
            expected,
        }
    }
}

/// Reads a JSON number as the nearest double; Rust's own grammar is wider (`inf`, `.5`, `+1`), so the form is checked.
fn number(word: &str) -> Option<f64> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let are_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = are_digits(whole) && (whole == "0" || !whole.starts_with('0'));
    let is_exponent = |text: &str| are_digits(text.strip_prefix(['+', '-']).unwrap_or(text));
    let is_number = is_whole && fraction.is_none_or(are_digits) && exponent.is_none_or(is_exponent);
    is_number.then(|| word.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, f64)> {
        let found = read_metrics_file(text).unwrap();
        found
            .into_iter()
            .map(|metric| (metric.key, metric.value))
            .collect()
    }

    #[test]
    fn nested_numbers_get_joined_keys_and_the_rest_is_left_out() {
        let text = r#"{"auc": 0.5, "train": {"loss": -1e-3, "n": 7, "deep": {"x": 0}},
            "ok": true, "name": "m", "none": null, "list": [1, {"y": 2}], "e": {}}"#;
        let expected = [
            ("auc", 0.5),
            ("train.loss", -1e-3),
            ("train.n", 7.0),
            ("train.deep.x", 0.0),
        ];
        assert_eq!(
            pairs(text),
            expected.map(|(key, value)| (key.to_owned(), value))
        );
    }

    #[test]
    fn words_of_python_are_numbers() {
        let found = pairs(r#"{"a": NaN, "b": Infinity, "c": -Infinity, "d": "NaN"}"#);
        assert_eq!(found.len(), 3);
        assert!(found[0].1.is_nan());
        assert!(found[1].1.is_infinite() && found[1].1 > 0.0);
        assert!(found[2].1.is_infinite() && found[2].1 < 0.0);
    }

    #[test]
    fn every_double_comes_back_bit_for_bit() {
        // A fixed linear congruential sequence over all bit patterns stands in for random ones.
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            bits = bits
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let value = f64::from_bits(bits);
            if value.is_finite() {
                for written in [
                    format!("{{\"k\": {value:e}}}"),
                    format!("{{\"k\": {value:?}}}"),
                ] {
                    assert_eq!(pairs(&written)[0].1.to_bits(), bits, "{written}");
                }
            }
        }
    }

    #[test]
    fn json_lines_and_lists_have_steps() {
        let lines = "{\"step\": 10, \"loss\": 1.5}\n{\"step\": 20, \"loss\": 0.5}\n\n";
        let list = r#"[{"step": 10, "loss": 1.5}, {"step": 20, "loss": 0.5}]"#;
        for text in [lines, list] {
            let found = read_metrics_file(text).unwrap();
            let points: Vec<_> = found
                .iter()
                .map(|metric| (metric.key.as_str(), metric.value, metric.step))
                .collect();
            assert_eq!(points, [("loss", 1.5, 10), ("loss", 0.5, 20)]);
        }
        let unnumbered = read_metrics_file("{\"a\":1}\n{\"a\":2}").unwrap();
        assert_eq!(
            unnumbered
                .iter()
                .map(|metric| metric.step)
                .collect::<Vec<_>>(),
            [0, 1]
        );
    }

    #[test]
    fn a_single_document_keeps_its_step_as_a_number() {
        let found = read_metrics_file(r#"{"step": 3, "loss": 1}"#).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|metric| metric.step == 0));
    }

    #[test]
    fn keys_are_unescaped() {
        assert_eq!(pairs(r#"{"a\"\\\u00e9": 1}"#), [("a\"\\é".to_owned(), 1.0)]);
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for text in [
            "{",
            "{\"a\"",
            "{\"a\":}",
            "{\"a\":01}",
            "{\"a\":.5}",
            "{\"a\":+1}",
            "{\"a\":1.}",
            "{\"a\":1e}",
            "{\"a\":inf}",
            "{\"a\":1,}",
            "[1,2",
            "{\"a\":\"x}",
            "{\"a\\",
            "{a:1}",
            "{\"a\":1}}",
            "[{}]{}",
            "\"\\x\"",
        ] {
            assert!(read_metrics_file(text).is_err(), "{text} was read");
        }
        assert_eq!(
            read_metrics_file("{\"a\": 1,\n \"b\": x}")
                .unwrap_err()
                .to_string(),
            "metrics are not JSON at line 2, column 7: expected a value"
        );
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_exhaust_the_stack() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            assert!(read_metrics_file(&deep).is_err());
            let allowed = format!("{}1{}", open.repeat(100), close.repeat(100));
            assert!(read_metrics_file(&allowed).is_ok());
        }
    }

    #[test]
    fn an_empty_file_has_no_metrics() {
        assert_eq!(read_metrics_file(""), Ok(vec![]));
        assert_eq!(read_metrics_file("\u{feff} \n"), Ok(vec![]));
        assert_eq!(
            read_metrics_file("3"),
            Ok(vec![]),
            "a bare number has no key"
        );
    }
}
