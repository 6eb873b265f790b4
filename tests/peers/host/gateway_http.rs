//! The HTTP side of the gateway stub: request heads, and tunnel packets in either framing.
//!
//! Reading keeps its state in the struct, so that a read may be dropped half-way and taken up again.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Most a client may send without it making a whole packet: far above any RDP record.
const MOST: usize = 1 << 20;

/// The first line and the headers of a request, names in lower case.
pub(super) struct Head {
    pub(super) method: String,
    pub(super) headers: HashMap<String, String>,
}

impl Head {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// How tunnel packets are wrapped on their way from the client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// HTTP chunks on the IN connection.
    Chunked,
    /// Binary websocket messages, masked.
    WebSocket,
}

/// What a client sends.
pub(super) struct Inbox<R> {
    source: R,
    raw: Vec<u8>,
    payload: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Inbox<R> {
    pub(super) fn new(source: R) -> Inbox<R> {
        Inbox { source, raw: vec![], payload: vec![] }
    }

    async fn more(&mut self) -> io::Result<()> {
        if self.raw.len() + self.payload.len() > MOST || self.source.read_buf(&mut self.raw).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Waits for the client to close.
    pub(super) async fn drain(&mut self) -> io::Result<()> {
        loop {
            self.raw.clear();
            self.more().await?;
        }
    }

    /// One request head; a body announced by Content-Length is skipped. A large length announces the tunnel itself.
    pub(super) async fn head(&mut self) -> io::Result<Head> {
        let end = loop {
            if let Some(at) = self.raw.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            self.more().await?;
        };
        let text = String::from_utf8_lossy(&self.raw[..end]).into_owned();
        self.raw.drain(..end + 4);
        let mut lines = text.split("\r\n");
        let method = lines.next().unwrap_or_default().split(' ').next().unwrap_or_default().to_owned();
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let head = Head { method, headers };
        let body = head.header("content-length").parse().unwrap_or(0);
        if body < 65536 {
            while self.raw.len() < body {
                self.more().await?;
            }
            self.raw.drain(..body);
        }
        Ok(head)
    }

    /// One tunnel packet: type and body. [MS-TSGU] 2.2.10.1
    pub(super) async fn packet(&mut self, framing: Framing) -> io::Result<(u16, Vec<u8>)> {
        loop {
            if let Some(packet) = take_packet(&mut self.payload) {
                return Ok(packet);
            }
            let unwrapped = match framing {
                Framing::Chunked => self.take_chunk()?,
                Framing::WebSocket => self.take_frame()?,
            };
            if !unwrapped {
                self.more().await?;
            }
        }
    }

    fn take_chunk(&mut self) -> io::Result<bool> {
        let Some(line) = self.raw.windows(2).position(|window| window == b"\r\n") else { return Ok(false) };
        let digits = String::from_utf8_lossy(&self.raw[..line]).into_owned();
        let len = usize::from_str_radix(digits.trim(), 16).map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
        let end = line + 2 + len;
        if self.raw.len() < end + 2 {
            return Ok(false);
        }
        self.payload.extend_from_slice(&self.raw[line + 2..end]);
        self.raw.drain(..end + 2);
        Ok(true)
    }

    /// RFC 6455 5.2
    fn take_frame(&mut self) -> io::Result<bool> {
        const CLOSE: u8 = 8;
        let raw = &self.raw;
        let [first, second, ..] = raw[..] else { return Ok(false) };
        let (short, masked) = (usize::from(second & 0x7f), second & 0x80 != 0);
        let (len, mut at) = match short {
            126 if raw.len() >= 4 => (usize::from(u16::from_be_bytes([raw[2], raw[3]])), 4),
            127 if raw.len() >= 10 => (u32::from_be_bytes([raw[6], raw[7], raw[8], raw[9]]) as usize, 10),
            126 | 127 => return Ok(false),
            len => (len, 2),
        };
        let mask_at = at;
        at += if masked { 4 } else { 0 };
        if raw.len() < at + len {
            return Ok(false);
        }
        match first & 0x0f {
            CLOSE => return Err(ErrorKind::UnexpectedEof.into()),
            0 | 2 => {
                let mask = if masked { raw[mask_at..at].to_vec() } else { vec![0; 4] };
                let clear = raw[at..at + len].iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key);
                self.payload.extend(clear.collect::<Vec<u8>>());
            }
            _ => {}
        }
        self.raw.drain(..at + len);
        Ok(true)
    }
}

fn take_packet(payload: &mut Vec<u8>) -> Option<(u16, Vec<u8>)> {
    let head: [u8; 8] = payload.get(..8)?.try_into().ok()?;
    let len = u32::from_le_bytes([head[4], head[5], head[6], head[7]]).max(8) as usize;
    let body = payload.get(8..len)?.to_vec();
    payload.drain(..len);
    Some((u16::from_le_bytes([head[0], head[1]]), body))
}

/// A tunnel packet. [MS-TSGU] 2.2.10.1
pub(super) fn packet(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&(8 + body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// A binary websocket message as a server sends it: unmasked. RFC 6455 5.2
pub(super) fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x82];
    match payload.len() {
        len @ 0..126 => bytes.push(len as u8),
        len => {
            bytes.push(126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}
