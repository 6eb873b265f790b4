//! JSON as `serde_json` writes it, byte for byte, for events: they are told thousands of times a second.
//!
//! It may rely on what holds for events: names of fields need no escape, texts seldom do, which is seen sixteen bytes at
//! a time, and fractions have three digits. What is rare is left to `serde_json`.

use serde::ser::{self, Error as _, Impossible, Serialize, Serializer};
use serde_json::Error;
use std::fmt;
use std::io::Write;

/// How a [`serde_json::value::RawValue`] shows itself: as a struct of this name whose field is the JSON text.
const RAW: &str = "$serde_json::private::RawValue";

/// Puts `value` at the end of `out`.
///
/// # Errors
/// What no event holds: bytes, tuple structs, variants with content, names of fields that are not texts.
pub(super) fn append(out: &mut Vec<u8>, value: &impl Serialize) -> Result<(), Error> {
    value.serialize(Json(out))
}

struct Json<'a>(&'a mut Vec<u8>);

/// An object or list that is open.
struct Inside<'a> {
    out: &'a mut Vec<u8>,
    begun: bool,
    /// What closes it; nothing behind text that is JSON already.
    end: &'static [u8],
}

impl<'a> Json<'a> {
    #[inline]
    fn open(self, begin: &'static [u8], end: &'static [u8]) -> Inside<'a> {
        self.0.extend_from_slice(begin);
        Inside { out: self.0, begun: false, end }
    }

    fn whole(&mut self, number: impl itoa::Integer) {
        self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

impl Inside<'_> {
    #[inline]
    fn next(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            self.out.push(b',');
        }
    }

    #[inline]
    fn close(self) {
        self.out.extend_from_slice(self.end);
    }
}

/// A text in its quotes.
fn text(out: &mut Vec<u8>, text: &str) -> Result<(), Error> {
    if !is_plain(text.as_bytes()) {
        return serde_json::to_writer(out, text);
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
    Ok(())
}

/// Nothing in it is escaped: no quote, no backslash, no control character. RFC 8259 7
///
/// Whole blocks, of which the last begins inside of the one before: byte by byte it would be half of an event's cost.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let (blocks, _) = text.as_chunks::<16>();
    if let Some(last) = text.last_chunk::<16>() {
        return blocks.iter().all(are_plain) && are_plain(last);
    }
    let word = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => specials(u64::from_le_bytes(*first)) | specials(u64::from_le_bytes(*last)),
        _ => match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
            (Some(first), Some(last)) => {
                specials(u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)))
            }
            _ => return text.iter().all(|byte| *byte >= 0x20 && *byte != b'"' && *byte != b'\\'),
        },
    };
    word == 0
}

/// Sixteen flags and no early end: the compiler makes one comparison of it.
#[inline]
fn are_plain(block: &[u8; 16]) -> bool {
    let mut special = [0u8; 16];
    for (flag, byte) in special.iter_mut().zip(*block) {
        *flag = u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
    }
    u128::from_ne_bytes(special) == 0
}

/// Not zero when one of the eight bytes is special: a borrow sets the high bit of a byte that is too small, and of one
/// that is zero after its difference to the quote or the backslash was taken.
#[inline]
fn specials(word: u64) -> u64 {
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let below = |word: u64, least| word.wrapping_sub(each(least)) & !word;
    (below(word, 0x20) | below(word ^ each(b'"'), 1) | below(word ^ each(b'\\'), 1)) & each(0x80)
}

/// `value`, if it is a number of thousandths that can be told exactly: fifteen digits that a `f64` keeps apart.
fn thousandths(value: f64) -> Option<u64> {
    let count = (value * 1000.0 + 0.5) as u64;
    let exact = value.is_sign_positive() && count < 1_000_000_000_000_000 && count as f64 / 1000.0 == value;
    exact.then_some(count)
}

impl<'a> Serializer for Json<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Inside<'a>;
    type SerializeTuple = Inside<'a>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Inside<'a>;
    type SerializeStruct = Inside<'a>;
    type SerializeStructVariant = Impossible<(), Error>;

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        text(self.0, value)
    }

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(mut self, value: u64) -> Result<(), Error> {
        self.whole(value);
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(mut self, value: i64) -> Result<(), Error> {
        self.whole(value);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        serde_json::to_writer(self.0, &value)
    }

    fn serialize_f64(mut self, value: f64) -> Result<(), Error> {
        let Some(count) = thousandths(value) else { return serde_json::to_writer(self.0, &value) };
        let [hundreds, tens, ones] = [count / 100, count / 10, count].map(|digit| b'0' + (digit % 10) as u8);
        let fraction = [b'.', hundreds, tens, ones];
        let digits = match fraction {
            [.., b'0', b'0'] => 2,
            [.., b'0'] => 3,
            _ => 4,
        };
        self.whole(count / 1000);
        self.0.extend_from_slice(&fraction[..digits]);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        text(self.0, value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Error> {
        Err(Error::custom("bytes"))
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        text(self.0, variant)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(Error::custom(variant))
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Inside<'a>, Error> {
        Ok(self.open(b"[", b"]"))
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Inside<'a>, Error> {
        Ok(self.open(b"[", b"]"))
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Error> {
        Err(Error::custom(name))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(Error::custom(variant))
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Inside<'a>, Error> {
        Ok(self.open(b"{", b"}"))
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Inside<'a>, Error> {
        Ok(if name == RAW { self.open(b"", b"") } else { self.open(b"{", b"}") })
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(Error::custom(variant))
    }
}

impl ser::SerializeSeq for Inside<'_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.next();
        value.serialize(Json(self.out))
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl ser::SerializeTuple for Inside<'_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        ser::SerializeSeq::serialize_element(self, value)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        ser::SerializeSeq::end(self)
    }
}

impl ser::SerializeMap for Inside<'_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Error> {
        self.next();
        let begin = self.out.len();
        key.serialize(Json(self.out))?;
        let is_text = self.out.get(begin) == Some(&b'"');
        is_text.then_some(()).ok_or_else(|| Error::custom("the name of a field is a text"))
    }

    #[inline]
    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.out.push(b':');
        value.serialize(Json(self.out))
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

impl ser::SerializeStruct for Inside<'_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        if name == RAW {
            // A formatter writes a text as it is.
            return write!(self.out, "{}", fmt::from_fn(|f| value.serialize(f))).map_err(Error::io);
        }
        self.next();
        debug_assert!(is_plain(name.as_bytes()), "{name}");
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        value.serialize(Json(self.out))
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
