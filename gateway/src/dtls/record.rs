//! Records in a datagram: their plaintext headers.

/// The header of a record.
pub(super) const HEADER: usize = 13;
/// The largest number of a record.
pub(super) const LAST: u64 = (1 << 48) - 1;

/// A record, as it stands in a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) kind: u8,
    pub(super) version: [u8; 2],
    pub(super) epoch: u16,
    /// Within its epoch.
    pub(super) number: u64,
    pub(super) payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// The first record of a datagram, if it is complete.
    pub(super) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (record, _) = split(datagram)?;
        let (header, payload) = record.split_first_chunk::<HEADER>()?;
        let number = header[5..11]
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Some(Self {
            kind: header[0],
            version: [header[1], header[2]],
            epoch: u16::from_be_bytes([header[3], header[4]]),
            number,
            payload,
        })
    }
}

/// The complete records of a datagram.
pub(super) fn all(mut datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let record = Record::parse(datagram)?;
        datagram = &datagram[HEADER + record.payload.len()..];
        Some(record)
    })
}

/// What of a datagram may reach OpenSSL: complete records, of which those that are encrypted are no shorter than
/// `shortest`. OpenSSL ends a session over an encrypted record that is shorter than its own tag, instead of dropping
/// it, and so would let anyone end it who can forge an address. The number of records comes with them.
pub(super) fn sift(datagram: &[u8], shortest: usize) -> (Vec<u8>, usize) {
    let mut kept = Vec::with_capacity(datagram.len());
    let mut count = 0;
    let mut rest = datagram;
    while let Some((record, following)) = split(rest) {
        let encrypted = record[3..5] != [0, 0];
        if !encrypted || record.len() - HEADER >= shortest {
            kept.extend_from_slice(record);
            count += 1;
        }
        rest = following;
    }
    (kept, count)
}

/// Adds to the numbers of plaintext records, which are protected by nothing.
pub(super) fn renumber(datagram: &mut [u8], add: u64) {
    let mut from = 0;
    while let Some((record, _)) = split(&datagram[from..]) {
        let record = from..from + record.len();
        let header = &mut datagram[record.start..record.start + HEADER];
        from = record.end;
        if header[3..5] == [0, 0] {
            let number = header[5..11]
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            let number = (number + add) & LAST;
            header[5..11].copy_from_slice(&number.to_be_bytes()[2..]);
        }
    }
}

/// The first record, and what follows it.
fn split(datagram: &[u8]) -> Option<(&[u8], &[u8])> {
    let header = datagram.first_chunk::<HEADER>()?;
    let length = u16::from_be_bytes([header[11], header[12]]);
    datagram.split_at_checked(HEADER + usize::from(length))
}
