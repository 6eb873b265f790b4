//! A ClientHello of any size, and a look at all of it.
#![allow(dead_code, unreachable_pub)] // each binary uses its own part

use parser::wire::{ClientHello, RecordHeader};

/// The suites, groups and schemes of xfreerdp's hello, extended to `size` bytes of record: by padding (RFC 7685), and
/// above 1,400 bytes by an X25519MLKEM768 key share of 1,216 bytes too.
pub fn record(size: usize) -> Vec<u8> {
    let text = include_str!("../../testdata/hellos/xfreerdp-2.11.7.hex");
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let original: Vec<u8> = digits
        .chunks(2)
        .map(|d| u8::from_str_radix(std::str::from_utf8(d).expect("ascii"), 16).expect("hex"))
        .collect();
    let hello = ClientHello::parse(&original[5..]).value().expect("a hello");
    let mut extensions = Vec::new();
    for (kind, data) in hello.extensions().filter(|(kind, _)| kind.0 != 21) {
        if kind.0 == 51 && size > 1_400 {
            let mut shares = vec![0x11, 0xec];
            shares.extend(1_216u16.to_be_bytes());
            shares.resize(shares.len() + 1_216, 7);
            shares.extend(&data[2..]);
            let list = (shares.len() as u16).to_be_bytes();
            extension(&mut extensions, kind.0, &[&list[..], &shares].concat());
        } else {
            extension(&mut extensions, kind.0, data);
        }
    }
    let fixed = 5 + 4 + 2 + 32 + 1 + hello.session_id.len() + 2 + 2 * hello.suites().count() + 2 + 2;
    let padding = size - fixed - extensions.len() - 4;
    extension(&mut extensions, 21, &vec![0; padding]);

    let mut body = hello.legacy_version.0.to_be_bytes().to_vec();
    body.extend(hello.random);
    body.push(hello.session_id.len() as u8);
    body.extend(hello.session_id);
    body.extend((2 * hello.suites().count() as u16).to_be_bytes());
    hello.suites().for_each(|suite| body.extend(suite.0.to_be_bytes()));
    body.extend([1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut record = vec![22, 3, 1];
    record.extend((body.len() as u16 + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    assert_eq!(record.len(), size);
    record
}

fn extension(block: &mut Vec<u8>, kind: u16, data: &[u8]) {
    block.extend(kind.to_be_bytes());
    block.extend((data.len() as u16).to_be_bytes());
    block.extend(data);
}

/// Reads the record and touches every field.
pub fn every_field(record: &[u8]) -> usize {
    let header = RecordHeader::parse(record).value().expect("a record");
    let hello = ClientHello::parse(&record[5..]).value().expect("a hello");
    let lists = hello.suites().map(|s| usize::from(s.0)).sum::<usize>()
        + hello.groups().map(|g| usize::from(g.0)).sum::<usize>()
        + hello.signature_schemes().map(|s| usize::from(s.0)).sum::<usize>()
        + hello.supported_versions().map(|v| usize::from(v.0)).sum::<usize>()
        + hello.key_shares().map(|(g, n)| usize::from(g.0) + usize::from(n)).sum::<usize>();
    lists
        + usize::from(header.length)
        + hello.server_name().map_or(0, <[u8]>::len)
        + hello.alpn().count()
        + usize::from(hello.offers_resumption())
}
