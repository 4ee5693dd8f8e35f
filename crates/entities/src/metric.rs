//! Metric points and the blocks that they are kept in.

use crate::{ModelId, ObjectId};

/// One point of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its key.
    pub key: String,
    /// Its value; NaN and the infinities are values too.
    pub value: f64,
    /// When it was measured, in milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// The step of training that it belongs to.
    pub step: i64,
    /// The logged model that it speaks of.
    pub model: Option<ModelId>,
    /// Name and digest of the dataset that it was measured on.
    pub dataset: Option<(String, String)>,
}

impl Metric {
    /// A point that names neither model nor dataset.
    pub fn new(key: impl Into<String>, value: f64, timestamp_ms: i64, step: i64) -> Self {
        Self {
            key: key.into(),
            value,
            timestamp_ms,
            step,
            model: None,
            dataset: None,
        }
    }

    /// As `PointRef::latest_order`.
    pub fn latest_order(&self, other: &Self) -> std::cmp::Ordering {
        self.borrowed().latest_order(&other.borrowed())
    }

    /// The same point, without texts of its own.
    fn borrowed(&self) -> PointRef<'_> {
        let Self {
            key,
            value,
            timestamp_ms,
            step,
            model,
            dataset,
        } = self;
        let dataset = dataset.as_ref();
        PointRef {
            key,
            value: *value,
            timestamp_ms: *timestamp_ms,
            step: *step,
            model: model.as_ref().map(ModelId::as_str),
            dataset: dataset.map(|(name, digest)| (name.as_str(), digest.as_str())),
        }
    }
}

/// Points that one request logged to one run, kept and hashed as one.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricBlock {
    /// The points, in the order of the request.
    pub points: Vec<Metric>,
}

/// A point whose texts stand elsewhere, as in an encoded block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointRef<'b> {
    /// As in `Metric`.
    pub key: &'b str,
    /// As in `Metric`.
    pub value: f64,
    /// As in `Metric`.
    pub timestamp_ms: i64,
    /// As in `Metric`.
    pub step: i64,
    /// The id of the logged model that it speaks of, not checked.
    pub model: Option<&'b str>,
    /// As in `Metric`.
    pub dataset: Option<(&'b str, &'b str)>,
}

impl PointRef<'_> {
    /// Orders points by what MLflow calls latest: step, then time, then value, NaN above all numbers.
    pub fn latest_order(&self, other: &Self) -> std::cmp::Ordering {
        (self.step, self.timestamp_ms)
            .cmp(&(other.step, other.timestamp_ms))
            .then_with(|| self.value.is_nan().cmp(&other.value.is_nan()))
            .then_with(|| {
                self.value
                    .partial_cmp(&other.value)
                    .unwrap_or(std::cmp::Ordering::Equal)
            })
    }
}

/// Bytes that are not a metric block, or are a damaged one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a metric block of {length_bytes} bytes is damaged or of a version that cannot be read here"
)]
pub struct MetricBlockError {
    /// Length of what was given.
    pub length_bytes: usize,
}

/// First bytes of every block; the last is the format's major version.
const HEADER: &[u8] = b"rpmb\x01";

impl MetricBlock {
    /// Encodes: header, table of texts, then the points.
    ///
    /// A text is a varint length and its bytes.
    /// A point is five varints (key, model + 1, dataset name + 1, dataset digest + 1 as places in the table,
    /// 0 for none in the last three), timestamp and step as zigzag varints of the difference from the
    /// point before, and the 8 bytes of the value, little-endian.
    /// The bits of a NaN are made canonical, so that equal requests have equal digests.
    pub fn encode(&self) -> Vec<u8> {
        Self::encode_points(self.points.iter().map(Metric::borrowed))
    }

    /// As `encode`, of points that are kept in another way.
    pub fn encode_points<'p>(points: impl ExactSizeIterator<Item = PointRef<'p>>) -> Vec<u8> {
        let count = points.len();
        let mut texts = TextTable::default();
        let mut body = Vec::with_capacity(count * 16);
        let (mut last_timestamp, mut last_step) = (0_i64, 0_i64);
        for point in points {
            write_varint(&mut body, texts.place(point.key));
            let model = point.model.map_or(0, |model| texts.place(model) + 1);
            let (name, digest) = point.dataset.map_or((0, 0), |(name, digest)| {
                (texts.place(name) + 1, texts.place(digest) + 1)
            });
            write_varint(&mut body, model);
            write_varint(&mut body, name);
            write_varint(&mut body, digest);
            write_varint(
                &mut body,
                zigzag(point.timestamp_ms.wrapping_sub(last_timestamp)),
            );
            write_varint(&mut body, zigzag(point.step.wrapping_sub(last_step)));
            (last_timestamp, last_step) = (point.timestamp_ms, point.step);
            let value = if point.value.is_nan() {
                f64::NAN
            } else {
                point.value
            };
            body.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        let mut bytes = HEADER.to_vec();
        write_varint(&mut bytes, texts.texts.len() as u64);
        for text in &texts.texts {
            write_varint(&mut bytes, text.len() as u64);
            bytes.extend_from_slice(text.as_bytes());
        }
        write_varint(&mut bytes, count as u64);
        bytes.extend_from_slice(&body);
        bytes
    }

    /// Decodes what `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, MetricBlockError> {
        let mut points = Vec::new();
        Self::read(bytes, |point| {
            points.push(Metric {
                key: point.key.to_owned(),
                value: point.value,
                timestamp_ms: point.timestamp_ms,
                step: point.step,
                model: point.model.map(str::parse).transpose().ok()?,
                dataset: point
                    .dataset
                    .map(|(name, digest)| (name.to_owned(), digest.to_owned())),
            });
            Some(())
        })?;
        Ok(Self { points })
    }

    /// Shows the points of an encoded block one after the other, without keeping any.
    ///
    /// A reader that says `None` refuses the block; points before a damaged place have been shown by then.
    pub fn read<'b>(
        bytes: &'b [u8],
        reader: impl FnMut(PointRef<'b>) -> Option<()>,
    ) -> Result<(), MetricBlockError> {
        read(bytes, reader).ok_or(MetricBlockError {
            length_bytes: bytes.len(),
        })
    }

    /// Digest of the encoded block.
    pub fn digest(encoded: &[u8]) -> ObjectId {
        ObjectId::of(encoded)
    }
}

#[derive(Default)]
struct TextTable<'a> {
    texts: Vec<&'a str>,
    places: std::collections::BTreeMap<&'a str, u64>,
}

impl<'a> TextTable<'a> {
    fn place(&mut self, text: &'a str) -> u64 {
        *self.places.entry(text).or_insert_with(|| {
            self.texts.push(text);
            self.texts.len() as u64 - 1
        })
    }
}

fn read<'b>(bytes: &'b [u8], mut reader: impl FnMut(PointRef<'b>) -> Option<()>) -> Option<()> {
    let mut rest = bytes.strip_prefix(HEADER)?;
    let text_count = read_varint(&mut rest)? as usize;
    // A text takes a byte at least, so a forged count cannot make us reserve more than was sent.
    let mut texts = Vec::with_capacity(text_count.min(rest.len()));
    for _ in 0..text_count {
        let length = read_varint(&mut rest)? as usize;
        let (text, after) = rest.split_at_checked(length)?;
        texts.push(std::str::from_utf8(text).ok()?);
        rest = after;
    }
    let point_count = read_varint(&mut rest)?;
    let (mut timestamp_ms, mut step) = (0_i64, 0_i64);
    let text_at = |place: u64| texts.get(place as usize).copied();
    for _ in 0..point_count {
        let key = text_at(read_varint(&mut rest)?)?;
        let model = match read_varint(&mut rest)? {
            0 => None,
            place => Some(text_at(place - 1)?),
        };
        let dataset = match (read_varint(&mut rest)?, read_varint(&mut rest)?) {
            (0, 0) => None,
            (0, _) | (_, 0) => return None,
            (name, digest) => Some((text_at(name - 1)?, text_at(digest - 1)?)),
        };
        timestamp_ms = timestamp_ms.wrapping_add(unzigzag(read_varint(&mut rest)?));
        step = step.wrapping_add(unzigzag(read_varint(&mut rest)?));
        let (value, after) = rest.split_first_chunk::<8>()?;
        rest = after;
        reader(PointRef {
            key,
            value: f64::from_bits(u64::from_le_bytes(*value)),
            timestamp_ms,
            step,
            model,
            dataset,
        })?;
    }
    rest.is_empty().then_some(())
}

fn write_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if shift == 63 && byte > 1 {
            return None;
        }
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> MetricBlock {
        let mut points = vec![
            Metric::new("loss", 0.5, 1_700_000_000_000, 0),
            Metric::new("loss", f64::INFINITY, 1_700_000_000_001, 1),
            Metric::new("acc", -0.0, i64::MIN, i64::MAX),
            Metric::new("acc", f64::MIN_POSITIVE, i64::MAX, i64::MIN),
        ];
        points[1].model = Some("m-1".parse().unwrap());
        points[2].dataset = Some(("train".to_owned(), "abc".to_owned()));
        MetricBlock { points }
    }

    #[test]
    fn every_point_survives() {
        let bytes = sample().encode();
        assert_eq!(MetricBlock::decode(&bytes), Ok(sample()));
        let nan = MetricBlock {
            points: vec![Metric::new("n", f64::NAN, 0, 0)],
        }
        .encode();
        assert!(MetricBlock::decode(&nan).unwrap().points[0].value.is_nan());
    }

    #[test]
    fn damage_never_panics_and_cuts_are_refused() {
        let bytes = sample().encode();
        for length in 0..bytes.len() {
            assert!(
                MetricBlock::decode(&bytes[..length]).is_err(),
                "cut to {length} bytes"
            );
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                if let Ok(block) = MetricBlock::decode(&damaged) {
                    assert_ne!(MetricBlock::digest(&damaged), MetricBlock::digest(&bytes));
                    drop(block);
                }
            }
        }
        let huge = [HEADER, &[0xff; 9], &[1]].concat();
        assert!(MetricBlock::decode(&huge).is_err());
    }

    #[test]
    fn latest_is_by_step_then_time_then_value() {
        let later = |a: &Metric, b: &Metric| a.latest_order(b) == std::cmp::Ordering::Greater;
        assert!(later(
            &Metric::new("k", 0.0, 0, 2),
            &Metric::new("k", 9.0, 9, 1)
        ));
        assert!(later(
            &Metric::new("k", 0.0, 2, 1),
            &Metric::new("k", 9.0, 1, 1)
        ));
        assert!(later(
            &Metric::new("k", 2.0, 1, 1),
            &Metric::new("k", 1.0, 1, 1)
        ));
    }
}
