//! A place in each log that somebody needs, as it is kept elsewhere: sealed, so that only what a pod of this cluster has
//! written is read as one.

use std::collections::BTreeMap;

use bytes::Bytes;
use proto::cluster;

use super::{Id, Partition, Place};
use crate::seal::{Kind, Sealer};

/// Far longer than any.
const LONGEST: usize = 16 * 1024;

/// Places, each in the log of its part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// When that was, in milliseconds since 1970.
    pub(crate) time: u64,
    /// By part.
    pub(crate) places: BTreeMap<Partition, Place>,
}

impl Position {
    /// What was kept; none where no pod of this cluster has written it.
    pub(crate) fn open(sealer: &Sealer, kept: &Bytes) -> Option<Self> {
        if kept.len() > LONGEST {
            return None;
        }
        let read: cluster::Position = sealer.open(Kind::Position, kept).ok()?;
        let count = read.partitions.len();
        let lengths = [
            read.ages.len(),
            read.numbers.len(),
            read.exact.len(),
            read.marks.len(),
        ];
        if lengths.iter().any(|&length| length != count) {
            return None;
        }
        let places = (0..count).map(|at| {
            let partition = Partition::numbered(read.partitions[at])?;
            let place = Place {
                partition,
                id: Id {
                    ms: read.time.checked_add_signed(read.ages[at].checked_neg()?)?,
                    number: read.numbers[at],
                },
                is_exact: read.exact[at],
                mark: read.marks[at],
            };
            Some((partition, place))
        });
        Some(Self {
            time: read.time,
            places: places.collect::<Option<_>>()?,
        })
    }

    /// To be kept.
    pub(crate) fn seal(&self, sealer: &Sealer) -> Bytes {
        let mut written = cluster::Position {
            time: self.time,
            ..cluster::Position::default()
        };
        for (partition, place) in &self.places {
            let number = u32::try_from(partition.index()).expect("there are 128");
            written.partitions.push(number);
            written
                .ages
                .push(self.time.wrapping_sub(place.id.ms).cast_signed());
            written.numbers.push(place.id.number);
            written.exact.push(place.is_exact);
            written.marks.push(place.mark);
        }
        sealer.seal(Kind::Position, &written).into()
    }
}

#[cfg(test)]
mod tests {
    use ring::hmac;

    use super::*;

    fn sealer(key: u8) -> Sealer {
        Sealer::new(hmac::Key::new(hmac::HMAC_SHA256, &[key; 32]))
    }

    fn position() -> Position {
        let place = |number: u32| {
            let partition = Partition::numbered(number).unwrap();
            let ms = [0, 1_700_000_000_000, 1_800_000_000_000][number as usize % 3];
            let place = Place {
                partition,
                id: Id {
                    ms,
                    number: number.into(),
                },
                is_exact: number.is_multiple_of(2),
                mark: number * 7,
            };
            (partition, place)
        };
        Position {
            time: 1_700_000_000_500,
            places: (0..128).map(place).collect(),
        }
    }

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let sealed = position().seal(&sealer(1));
        assert!(sealed.len() < 2_000, "{}", sealed.len());
        assert_eq!(Position::open(&sealer(1), &sealed), Some(position()));
        assert_eq!(Position::open(&sealer(2), &sealed), None);
        assert_eq!(Position::open(&sealer(1), &sealed.slice(1..)), None);
        assert_eq!(Position::open(&sealer(1), &Bytes::new()), None);
    }

    #[test]
    fn what_makes_no_sense_is_none() {
        let sealer = sealer(1);
        let good = cluster::Position {
            time: 1000,
            partitions: vec![3],
            ages: vec![10],
            numbers: vec![0],
            exact: vec![true],
            marks: vec![1],
        };
        let opened = |change: fn(&mut cluster::Position)| {
            let mut position = good.clone();
            change(&mut position);
            let kept = sealer.seal(Kind::Position, &position);
            Position::open(&sealer, &kept.into())
        };
        assert!(opened(|_| ()).is_some());
        assert_eq!(opened(|bad| bad.partitions = vec![128]), None);
        assert_eq!(opened(|bad| bad.ages = vec![1001]), None);
        assert_eq!(opened(|bad| bad.ages = vec![i64::MIN]), None);
        assert_eq!(opened(|bad| bad.marks.clear()), None);
        assert_eq!(opened(|bad| bad.exact.push(true)), None);
    }
}
