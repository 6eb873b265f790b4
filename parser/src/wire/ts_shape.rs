//! What is kept of a TSRequest in a session that is not ours: version, which fields, whose mechanism, status. What the
//! fields hold (tokens, keys, credentials) passes unread. [MS-CSSP] 2.2.1

use super::nt_status::NtStatus;

/// The shape of one TSRequest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TsShape {
    /// Whole length in bytes.
    pub length: u32,
    /// `version`: the newest that the sender speaks; 0 when the field is missing or unreadable.
    pub version: u32,
    /// Which fields are there.
    pub fields: TsFields,
    /// What the token begins with.
    pub mechanism: Option<Mechanism>,
    /// `errorCode`.
    pub error_code: Option<NtStatus>,
}

/// A field of a TSRequest; the number is its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TsField {
    /// `version`.
    Version,
    /// `negoTokens`.
    Tokens,
    /// `authInfo`: the credentials, sealed.
    AuthInfo,
    /// `pubKeyAuth`: what binds the exchange to the TLS key.
    PubKeyAuth,
    /// `errorCode`.
    ErrorCode,
    /// `clientNonce`, from version 5 on.
    ClientNonce,
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TsFields(u8);

impl TsFields {
    pub(crate) fn add(&mut self, number: u8) {
        self.0 |= 1_u8.checked_shl(number.into()).unwrap_or(0);
    }

    /// The field is there.
    #[must_use]
    pub fn has(self, field: TsField) -> bool {
        self.0 & 1 << field as u8 != 0
    }
}

/// Who authenticates the user, told from the first bytes of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// An NTLM message with its type (1 NEGOTIATE, 2 CHALLENGE, 3 AUTHENTICATE), alone or inside SPNEGO. [MS-NLMP] 2.2.1
    Ntlm(u32),
    /// A Kerberos AP-REQ, alone or inside SPNEGO. RFC 4121 4.1
    Kerberos,
    /// SPNEGO without one of these where they are looked for. RFC 4178 4.2
    Spnego,
}

impl Mechanism {
    /// The name used in events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Ntlm(_) => "ntlm",
            Mechanism::Kerberos => "kerberos",
            Mechanism::Spnego => "spnego",
        }
    }
}

/// Looks for a mechanism in a token that passes by. Nothing of the token is kept but how much of a pattern was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MechanismFinder {
    seen: u16,
    ntlm: u8,
    kind: [u8; 4],
    kerberos: u8,
    spnego: bool,
    found: Option<Mechanism>,
}

impl MechanismFinder {
    /// SPNEGO's list of mechanisms and its headers stand before the first token: some 100 bytes.
    const LOOKED_AT: u16 = 256;
    const SIGNATURE: &'static [u8; 8] = b"NTLMSSP\0";
    /// 1.2.840.113554.1.2.2, then the token id of an AP-REQ. RFC 4121 4.1
    const AP_REQ: &'static [u8; 11] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x01, 0x00];

    /// The next bytes of `negoTokens`, in order.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.seen >= Self::LOOKED_AT || self.found.is_some() {
                return;
            }
            self.seen += 1;
            self.byte(*byte);
        }
    }

    /// What was found.
    pub(crate) fn mechanism(&self) -> Option<Mechanism> {
        self.found.or(self.spnego.then_some(Mechanism::Spnego))
    }

    fn byte(&mut self, byte: u8) {
        // Two SEQUENCEs, [0] and an OCTET STRING come first; then APPLICATION 0 or a NegTokenInit or NegTokenResp.
        self.spnego |= self.seen <= 24 && matches!(byte, 0x60 | 0xa1);
        if let Some(at) = usize::from(self.ntlm).checked_sub(Self::SIGNATURE.len()) {
            self.kind[at] = byte;
            self.ntlm += 1;
            if at == 3 {
                self.found = Some(Mechanism::Ntlm(u32::from_le_bytes(self.kind)));
            }
            return;
        }
        self.ntlm = advanced(Self::SIGNATURE, self.ntlm, byte);
        self.kerberos = advanced(Self::AP_REQ, self.kerberos, byte);
        if usize::from(self.kerberos) == Self::AP_REQ.len() {
            self.found = Some(Mechanism::Kerberos);
        }
    }
}

/// How much of `pattern` has been seen after `byte`. Its first byte stands nowhere else in it, so there is no going back
/// by less than all.
fn advanced(pattern: &[u8], matched: u8, byte: u8) -> u8 {
    if pattern.get(usize::from(matched)) == Some(&byte) {
        matched + 1
    } else {
        u8::from(pattern.first() == Some(&byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> Option<Mechanism> {
        let mut finder = MechanismFinder::default();
        for byte in bytes {
            finder.pass(&[*byte]);
        }
        finder.mechanism()
    }

    #[test]
    fn ntlm_is_found_alone_and_inside_spnego() {
        let alone = [&[0x30, 0x82, 1, 0, 0x30, 0x82, 0, 9, 0xa0, 5, 4, 3][..], b"NTLMSSP\0\x02\0\0\0"].concat();
        assert_eq!(found(&alone), Some(Mechanism::Ntlm(2)));
        let inside =
            [&[0x30, 9, 0x30, 8, 0xa0, 7, 4, 6, 0xa1, 0x82, 1, 0][..], &[9; 60], b"NNTLMSSP\0\x03\0\0\0"].concat();
        assert_eq!(found(&inside), Some(Mechanism::Ntlm(3)));
    }

    #[test]
    fn a_ticket_is_told_from_an_offer_of_kerberos() {
        let offer =
            [&[0x30, 9, 0x30, 8, 0xa0, 7, 4, 6, 0x60, 0x40][..], &MechanismFinder::AP_REQ[..9], &[6, 10]].concat();
        assert_eq!(found(&offer), Some(Mechanism::Spnego));
        assert_eq!(found(&[&offer[..], MechanismFinder::AP_REQ].concat()), Some(Mechanism::Kerberos));
        assert_eq!(found(&[0x77; 300]), None);
    }

    #[test]
    fn fields_are_told_by_their_number() {
        let mut fields = TsFields::default();
        fields.add(TsField::AuthInfo as u8);
        fields.add(200);
        assert!(fields.has(TsField::AuthInfo) && !fields.has(TsField::PubKeyAuth));
    }
}
