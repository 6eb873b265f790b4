use super::*;
use proptest::prelude::*;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::net::IpAddr;

#[track_caller]
fn same(value: &impl Serialize) {
    let mut out = b"before".to_vec();
    append(&mut out, value).unwrap();
    let expected = serde_json::to_string(value).unwrap();
    assert_eq!(std::str::from_utf8(&out).unwrap(), format!("before{expected}"));
}

#[derive(Serialize)]
struct Outer<'a> {
    #[serde(rename = "@timestamp")]
    stamp: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<u8>,
    #[serde(flatten)]
    flat: Option<Flat>,
    raw: Box<RawValue>,
    empty: Flat,
    list: Vec<Cow<'static, str>>,
    pair: [u32; 2],
    ip: IpAddr,
    id: uuid::Uuid,
    map: std::collections::BTreeMap<String, f64>,
    unit: (),
}

#[derive(Clone, Default, Serialize)]
struct Flat {
    #[serde(skip_serializing_if = "Option::is_none")]
    signed: Option<i64>,
}

fn outer(stamp: &str, flat: Option<Flat>) -> Outer<'_> {
    Outer {
        stamp,
        left_out: None,
        flat,
        raw: RawValue::from_string(r#"["a\"b", 1 ,{}]"#.to_owned()).unwrap(),
        empty: Flat::default(),
        list: vec!["TLS 1.3".into(), "0x\u{7f}".into()],
        pair: [0, u32::MAX],
        ip: "2001:db8::7".parse().unwrap(),
        id: uuid::Uuid::from_u128(1 << 100),
        map: [("a\nname".to_owned(), 1e300), ("other".to_owned(), -0.0)].into(),
        unit: (),
    }
}

#[test]
fn what_an_event_is_made_of_is_written_as_serde_json_does() {
    same(&outer("2026-03-01T07:12:09.123456Z", None));
    same(&outer("", Some(Flat { signed: Some(i64::MIN) })));
    same(&json!({ "null": null, "yes": true, "no": false, "list": [[], {}, [1]], "deep": { "a": { "b": "c" } } }));
    same(&(u8::MAX, i8::MIN, u16::MAX, i16::MIN, i32::MIN, u64::MAX, 'x', '"', 1.5f32));
}

#[test]
fn every_character_is_escaped_as_serde_json_does_wherever_it_stands() {
    let odd = (0..0x30).chain(0x58..0x60).chain(0x7b..0xa2).chain(0x2026..0x202a).chain(0x1f600..0x1f602);
    for character in odd.filter_map(char::from_u32) {
        for before in 0..36 {
            for after in [0, 1, 7, 15, 16] {
                same(&format!("{}{character}{}", "a".repeat(before), "ü".repeat(after)));
            }
        }
    }
}

#[test]
fn what_no_event_holds_is_refused() {
    let numbered: std::collections::BTreeMap<u8, u8> = [(1, 2)].into();
    assert!(append(&mut Vec::new(), &numbered).is_err());
    assert!(append(&mut Vec::new(), &Err::<u8, u8>(1)).is_err());
}

#[test]
fn milliseconds_of_any_length_are_written_as_serde_json_does() {
    for micros in (0..2_000).chain((0..63).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1])) {
        same(&(micros as f64 / 1000.0));
    }
    let odd = [0.1 + 0.2, 1.0005, 0.0004, 1e-7, 1e15, 1e16, 1e17, f64::MAX, f64::NAN, f64::INFINITY, -1.5, -0.0];
    odd.iter().for_each(same);
}

proptest! {
    #[test]
    fn any_number_and_any_text_is_written_as_serde_json_does(bits: u64, micros: u64, text: String) {
        same(&f64::from_bits(bits));
        same(&(micros as f64 / 1000.0));
        same(&((micros >> 20) as f64 / 1000.0));
        same(&text);
    }
}
