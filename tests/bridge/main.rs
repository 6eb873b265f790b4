//! The bridge between scripted ends that speak real TLS: what is carried across, what is refused, and that no attacker
//! gets a pair to anything weaker than it can do by itself.

mod attacker;
mod captured;
mod carried;
mod downgrade;
mod ends;
mod gateway;
mod openssl;
mod profile;
mod revealed;
mod sealed;
mod start;
mod unusual;
mod wiretap;
