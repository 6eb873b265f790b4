//! Values in few bytes, for what is kept long and looked at seldom: numbers take as many bytes as they need; a time that was
//! told before takes one, another one is told by its distance to the time before it.
//!
//! Not a format: what one process has packed it unpacks itself. Bytes that it did not pack give wrong values, never a panic.

use crate::Timestamp;
use crate::session::PerPeer;
use crate::wire::{
    CipherSuite, ContentType, ExtensionType, NamedGroup, Protocols, RequestFlags, ResponseFlags, TlsVersion,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// No time: see [`Timestamp::pack_some`]. What lies between this and [`ANOTHER`] is the place of a time that was told.
const NONE: u8 = 0;
/// Another time, by its distance.
const ANOTHER: u8 = u8::MAX;
/// Times that are remembered: a session has some twenty.
const REMEMBERED: usize = 48;

/// Takes values.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    bytes: Vec<u8>,
    times: Times,
}

/// The times told so far.
#[derive(Debug, Default)]
struct Times {
    told: Vec<Timestamp>,
    last: u64,
}

impl Times {
    fn remember(&mut self, time: Timestamp) {
        self.last = time.0;
        if self.told.len() < REMEMBERED {
            self.told.push(time);
        }
    }
}

/// Gives them back, in the same order.
#[derive(Debug)]
pub(crate) struct Unpacker<'a> {
    bytes: &'a [u8],
    times: Times,
}

/// What can be packed.
pub(crate) trait Pack: Sized {
    fn pack(&self, to: &mut Packer);
    fn unpack(from: &mut Unpacker<'_>) -> Self;

    /// One that there may be or not.
    fn pack_some(some: &Option<Self>, to: &mut Packer) {
        some.is_some().pack(to);
        if let Some(value) = some {
            value.pack(to);
        }
    }
    fn unpack_some(from: &mut Unpacker<'_>) -> Option<Self> {
        bool::unpack(from).then(|| Self::unpack(from))
    }
}

impl Packer {
    /// With room for `bytes`.
    pub(crate) fn with_room(bytes: usize) -> Packer {
        let times = Times { told: Vec::with_capacity(REMEMBERED), last: 0 };
        Packer { bytes: Vec::with_capacity(bytes), times }
    }

    pub(crate) fn into_bytes(self) -> Box<[u8]> {
        self.bytes.into()
    }

    /// Seven bits a byte, the lowest first; the highest bit says that more follow.
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }
}

impl<'a> Unpacker<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Unpacker<'a> {
        Unpacker { bytes, times: Times { told: Vec::with_capacity(REMEMBERED), last: 0 } }
    }

    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *byte
    }

    fn number(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 || shift > 63 {
                return value;
            }
        }
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::try_from(self.number()).unwrap_or(usize::MAX).min(self.bytes.len());
        let (bytes, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        bytes
    }
}

/// Packs a struct field by field, so that a field more has to be thought of here, or does not compile.
macro_rules! pack_fields {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl $crate::pack::Pack for $type {
            fn pack(&self, to: &mut $crate::pack::Packer) {
                let $type { $($field),* } = self;
                $($crate::pack::Pack::pack($field, to);)*
            }
            fn unpack(from: &mut $crate::pack::Unpacker<'_>) -> Self {
                $(let $field = $crate::pack::Pack::unpack(from);)*
                $type { $($field),* }
            }
        }
    };
}

/// Packs an enum without payload as the place of its variant; the first stands for what is unknown.
macro_rules! pack_variants {
    ($type:ident { $($variant:ident),* $(,)? }) => {
        impl $crate::pack::Pack for $type {
            fn pack(&self, to: &mut $crate::pack::Packer) {
                // Not compiled when a variant is missing.
                match self { $($type::$variant)|* => {} }
                let place = [$($type::$variant),*].iter().position(|variant| variant == self);
                $crate::pack::Pack::pack(&(place.unwrap_or_default() as u8), to);
            }
            fn unpack(from: &mut $crate::pack::Unpacker<'_>) -> Self {
                const ALL: &[$type] = &[$($type::$variant),*];
                let place = <u8 as $crate::pack::Pack>::unpack(from);
                *ALL.get(usize::from(place)).unwrap_or(&ALL[0])
            }
        }
    };
}

pub(crate) use {pack_fields, pack_variants};

macro_rules! pack_numbers {
    ($($number:ty),*) => {
        $(impl Pack for $number {
            fn pack(&self, to: &mut Packer) {
                to.number(*self as u64);
            }
            fn unpack(from: &mut Unpacker<'_>) -> Self {
                from.number() as $number
            }
        })*
    };
}

macro_rules! pack_newtypes {
    ($($type:ident),*) => {
        $(impl Pack for $type {
            fn pack(&self, to: &mut Packer) {
                self.0.pack(to);
            }
            fn unpack(from: &mut Unpacker<'_>) -> Self {
                $type(Pack::unpack(from))
            }
        })*
    };
}

pack_numbers!(u8, u16, u32, u64, usize);
pack_newtypes!(CipherSuite, ContentType, ExtensionType, NamedGroup, Protocols, RequestFlags, ResponseFlags, TlsVersion);

impl Pack for bool {
    fn pack(&self, to: &mut Packer) {
        u8::from(*self).pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> bool {
        from.byte() != 0
    }
}

impl Pack for Timestamp {
    fn pack(&self, to: &mut Packer) {
        if let Some(place) = to.times.told.iter().rposition(|told| told == self) {
            to.bytes.push(place as u8 + 1);
            return;
        }
        to.bytes.push(ANOTHER);
        let distance = self.0.wrapping_sub(to.times.last).cast_signed();
        // Small either way: 0, -1, 1, -2 become 0, 1, 2, 3.
        to.number(((distance << 1) ^ (distance >> 63)).cast_unsigned());
        to.times.remember(*self);
    }
    fn unpack(from: &mut Unpacker<'_>) -> Timestamp {
        Timestamp::unpack_some(from).unwrap_or_default()
    }
    fn pack_some(some: &Option<Timestamp>, to: &mut Packer) {
        match some {
            Some(time) => time.pack(to),
            None => to.bytes.push(NONE),
        }
    }
    fn unpack_some(from: &mut Unpacker<'_>) -> Option<Timestamp> {
        match from.byte() {
            NONE => None,
            ANOTHER => {
                let folded = from.number();
                let distance = (folded >> 1) ^ (folded & 1).wrapping_neg();
                let time = Timestamp(from.times.last.wrapping_add(distance));
                from.times.remember(time);
                Some(time)
            }
            place => from.times.told.get(usize::from(place) - 1).copied(),
        }
    }
}

impl<T: Pack> Pack for Option<T> {
    fn pack(&self, to: &mut Packer) {
        T::pack_some(self, to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> Option<T> {
        T::unpack_some(from)
    }
}

impl<T: Pack> Pack for PerPeer<T> {
    fn pack(&self, to: &mut Packer) {
        self.client.pack(to);
        self.host.pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> PerPeer<T> {
        let client = T::unpack(from);
        PerPeer { client, host: T::unpack(from) }
    }
}

impl<T: Pack, U: Pack> Pack for (T, U) {
    fn pack(&self, to: &mut Packer) {
        self.0.pack(to);
        self.1.pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> (T, U) {
        let first = T::unpack(from);
        (first, U::unpack(from))
    }
}

impl<const N: usize> Pack for [u8; N] {
    fn pack(&self, to: &mut Packer) {
        to.bytes.extend_from_slice(self);
    }
    fn unpack(from: &mut Unpacker<'_>) -> [u8; N] {
        std::array::from_fn(|_| from.byte())
    }
}

impl Pack for Vec<u16> {
    fn pack(&self, to: &mut Packer) {
        self.len().pack(to);
        self.iter().for_each(|value| value.pack(to));
    }
    fn unpack(from: &mut Unpacker<'_>) -> Vec<u16> {
        let length = usize::unpack(from).min(from.bytes.len());
        (0..length).map(|_| u16::unpack(from)).collect()
    }
}

impl Pack for String {
    fn pack(&self, to: &mut Packer) {
        to.bytes(self.as_bytes());
    }
    fn unpack(from: &mut Unpacker<'_>) -> String {
        String::from_utf8_lossy(from.bytes()).into_owned()
    }
}

impl Pack for Box<str> {
    fn pack(&self, to: &mut Packer) {
        to.bytes(self.as_bytes());
    }
    fn unpack(from: &mut Unpacker<'_>) -> Box<str> {
        String::unpack(from).into()
    }
}

impl Pack for SocketAddr {
    fn pack(&self, to: &mut Packer) {
        match self.ip() {
            IpAddr::V4(ip) => (4_u8, ip.octets()).pack(to),
            IpAddr::V6(ip) => (6_u8, ip.octets()).pack(to),
        }
        self.port().pack(to);
        if let SocketAddr::V6(address) = self {
            (address.flowinfo(), address.scope_id()).pack(to);
        }
    }
    fn unpack(from: &mut Unpacker<'_>) -> SocketAddr {
        if u8::unpack(from) == 4 {
            let ip = Ipv4Addr::from(<[u8; 4]>::unpack(from));
            return SocketAddr::from((ip, u16::unpack(from)));
        }
        let ip = Ipv6Addr::from(<[u8; 16]>::unpack(from));
        let port = u16::unpack(from);
        let (flowinfo, scope) = Pack::unpack(from);
        SocketAddr::V6(SocketAddrV6::new(ip, port, flowinfo, scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn there_and_back<T: Pack>(value: &T) -> T {
        let mut packer = Packer::default();
        value.pack(&mut packer);
        let bytes = packer.into_bytes();
        let mut unpacker = Unpacker::new(&bytes);
        let back = T::unpack(&mut unpacker);
        assert!(unpacker.bytes.is_empty(), "all is taken");
        back
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_back(
            numbers: (u8, (u16, (u32, u64))), times: (u64, (u64, u64)), text: String, list: Vec<u16>,
            options: Vec<Option<u64>>, octets: [u8; 16],
            port: u16, scope: u32, some: Option<u16>,
        ) {
            prop_assert_eq!(there_and_back(&numbers), numbers);
            let times = (Timestamp(times.0), (Timestamp(times.1.0), Timestamp(times.1.1)));
            prop_assert_eq!(there_and_back(&times), times);
            let options = options.into_iter().map(|time| time.map(Timestamp)).fold((None, None), |(_, b), a| (b, a));
            prop_assert_eq!(there_and_back(&options), options);
            prop_assert_eq!(there_and_back(&text), text);
            prop_assert_eq!(there_and_back(&list), list);
            prop_assert_eq!(there_and_back(&some), some);
            let v6 = SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(octets), port, 7, scope));
            let v4 = SocketAddr::from((<[u8; 4]>::try_from(&octets[..4]).expect("four"), port));
            prop_assert_eq!((there_and_back(&v6), there_and_back(&v4)), (v6, v4));
        }

        #[test]
        fn other_bytes_give_wrong_values_and_no_panic(bytes: Vec<u8>) {
            let mut unpacker = Unpacker::new(&bytes);
            let _ = <(Vec<u16>, (String, (Option<Timestamp>, SocketAddr)))>::unpack(&mut unpacker);
        }
    }

    #[test]
    fn times_close_to_each_other_take_few_bytes() {
        let mut packer = Packer::default();
        let now = Timestamp(1_795_900_000_000_000_000);
        (now, ((now, None::<Timestamp>), Timestamp(now.0 - 50))).pack(&mut packer);
        assert_eq!(packer.into_bytes().len(), 1 + 9 + 1 + 1 + 2);
    }
}
