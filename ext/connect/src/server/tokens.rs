//! Authentication: tokens, which the operator issues, and access tokens, which the server issues in exchange for a token.
//!
//! An access token is not stored. It contains its token, database and expiry, and is signed with a secret of the process: after
//! a restart, clients request a new one.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::digest::{Key, KeyInit};
use hmac::{Hmac, Mac};
use openkv_engine::Random;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// The lifetime of an access token that is reported to clients, in milliseconds.
pub(crate) const LIFETIME: u64 = 60 * 60 * 1000;

/// How long an expired access token is still accepted, in milliseconds: requests take time, and clocks differ.
const LEEWAY: u64 = 10 * 60 * 1000;

/// A token that authenticates clients.
#[derive(Clone)]
pub struct Token {
    name: String,
    /// The hash of the secret, which itself is not stored.
    digest: [u8; 32],
    access: Access,
    databases: Option<Vec<String>>,
}

/// The access that a token grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read and watch.
    ReadOnly,
    /// Read, watch, write, and receive messages.
    ReadWrite,
}

impl std::fmt::Debug for Token {
    /// Leaves out the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, access, databases, digest: _ } = self;
        f.debug_struct("Token").field("name", name).field("access", access).field("databases", databases).finish()
    }
}

impl Token {
    /// Creates a token with read and write access to all databases. Events contain the name, but never the secret.
    pub fn new(name: impl Into<String>, secret: &str) -> Self {
        let digest = Sha256::digest(secret).into();
        Self { name: name.into(), digest, access: Access::ReadWrite, databases: None }
    }

    /// Sets the access that the token grants.
    #[must_use]
    pub fn access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// Restricts the token to the databases with these names.
    #[must_use]
    pub fn databases<N: Into<String>>(self, names: impl IntoIterator<Item = N>) -> Self {
        Self { databases: Some(names.into_iter().map(Into::into).collect()), ..self }
    }

    /// Returns the name of the token.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether the secret is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.digest == <[u8; 32]>::from(Sha256::digest(""))
    }

    /// Returns the names of the databases that the token is restricted to.
    pub(crate) fn named_databases(&self) -> impl Iterator<Item = &str> {
        self.databases.iter().flatten().map(String::as_str)
    }

    fn is_for(&self, database: &str) -> bool {
        self.databases.as_ref().is_none_or(|names| names.iter().any(|name| name == database))
    }
}

/// Why a token or access token is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    #[error("the request has no access token: send one as \"authorization: Bearer TOKEN\"")]
    Missing,
    #[error("the access token is not valid")]
    Invalid,
    #[error("the access token has expired")]
    Expired,
    #[error("the access token is not for this database")]
    OtherDatabase,
}

/// An issued access token.
#[derive(Debug)]
pub(crate) struct Issued {
    /// The position of the token that it was issued for; 0 without tokens.
    pub token: usize,
    pub access_token: String,
    pub expires_at: u64,
}

/// What an access token grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The position of the token; 0 without tokens.
    pub token: usize,
    pub access: Access,
}

/// The tokens of a server.
pub(crate) struct Tokens {
    tokens: Vec<Token>,
    /// The MAC with the secret of this process.
    mac: Hmac<Sha256>,
}

/// The parts of an access token before its signature: the position of its token, the database, and the expiry.
type Parts = ([u8; 4], [u8; 16], [u8; 8]);
const PARTS_LEN: usize = size_of::<Parts>();

impl Tokens {
    /// Creates a set of tokens, with a new secret for access tokens.
    pub fn new(tokens: Vec<Token>, random: &dyn Random) -> Self {
        let mut key = Key::<Hmac<Sha256>>::default();
        random.fill(&mut key);
        Self { tokens, mac: KeyInit::new(&key) }
    }

    /// Returns whether there are no tokens: access is not restricted then.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Issues an access token for a database in exchange for a token.
    ///
    /// # Errors
    /// The token is unknown, or not for this database.
    pub fn issue(&self, token: Option<&str>, name: &str, id: Uuid, now: u64) -> Result<Issued, Denied> {
        let expires_at = now.saturating_add(LIFETIME);
        let position = if self.is_empty() { 0 } else { self.find(token.ok_or(Denied::Missing)?, name)? };
        let name_of_token = self.tokens.get(position as usize).map(Token::name);
        tracing::debug!(token = name_of_token, database = name, "issued an access token");
        let mut bytes = [&position.to_be_bytes()[..], id.as_bytes(), &expires_at.to_be_bytes()].concat();
        let signature = self.mac.clone().chain_update(&bytes).finalize().into_bytes();
        bytes.extend(signature);
        Ok(Issued { token: position as usize, access_token: BASE64_URL_SAFE_NO_PAD.encode(bytes), expires_at })
    }

    /// Returns what an access token grants for a database.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn check(&self, access_token: Option<&str>, id: Uuid, now: u64) -> Result<Grant, Denied> {
        if self.is_empty() {
            return Ok(Grant { token: 0, access: Access::ReadWrite });
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(access_token.ok_or(Denied::Missing)?).map_err(|_| Denied::Invalid)?;
        let (parts, signature) = bytes.split_at_checked(PARTS_LEN).ok_or(Denied::Invalid)?;
        // Compares in constant time.
        self.mac.clone().chain_update(parts).verify_slice(signature).map_err(|_| Denied::Invalid)?;
        let (position, database, expires_at) = split(parts).ok_or(Denied::Invalid)?;
        if database != *id.as_bytes() {
            return Err(Denied::OtherDatabase);
        }
        if u64::from_be_bytes(expires_at).saturating_add(LEEWAY) <= now {
            return Err(Denied::Expired);
        }
        let position = u32::from_be_bytes(position) as usize;
        let token = self.tokens.get(position).ok_or(Denied::Invalid)?;
        Ok(Grant { token: position, access: token.access })
    }

    /// Returns the position of a token. The comparison with all tokens takes constant time, so that timing reveals nothing.
    fn find(&self, secret: &str, database: &str) -> Result<u32, Denied> {
        let digest: [u8; 32] = Sha256::digest(secret).into();
        let mut found = Err(Denied::Invalid);
        for (position, token) in (0..).zip(&self.tokens) {
            if bool::from(token.digest.ct_eq(&digest)) {
                found = if token.is_for(database) { Ok(position) } else { Err(Denied::OtherDatabase) };
            }
        }
        found
    }
}

fn split(parts: &[u8]) -> Option<Parts> {
    let (position, rest) = parts.split_first_chunk()?;
    let (database, rest) = rest.split_first_chunk()?;
    Some((*position, *database, rest.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use openkv_engine::SystemRandom;

    use super::*;

    const ID: Uuid = Uuid::from_u128(7);
    const NOW: u64 = 1_700_000_000_000;

    fn tokens() -> Tokens {
        let tokens = vec![
            Token::new("operator", "secret"),
            Token::new("reader", "readonly").access(Access::ReadOnly).databases(["a"]),
        ];
        Tokens::new(tokens, &SystemRandom)
    }

    #[test]
    fn access_token_has_the_access_of_its_token() {
        let tokens = tokens();
        for (token, secret, access) in [(0, "secret", Access::ReadWrite), (1, "readonly", Access::ReadOnly)] {
            let issued = tokens.issue(Some(secret), "a", ID, NOW).unwrap();
            assert_eq!((issued.token, issued.expires_at), (token, NOW + LIFETIME));
            let access_token = Some(&*issued.access_token);
            assert_eq!(tokens.check(access_token, ID, NOW), Ok(Grant { token, access }));
            assert_eq!(tokens.check(access_token, Uuid::nil(), NOW), Err(Denied::OtherDatabase));
        }
    }

    #[test]
    fn unknown_tokens_are_rejected() {
        let tokens = tokens();
        let rejection = |token, name| tokens.issue(token, name, ID, NOW).unwrap_err();
        assert_eq!(rejection(None, "a"), Denied::Missing);
        assert_eq!(rejection(Some(""), "a"), Denied::Invalid);
        assert_eq!(rejection(Some("secret "), "a"), Denied::Invalid);
        assert_eq!(rejection(Some("readonly"), "b"), Denied::OtherDatabase);
    }

    #[test]
    fn access_tokens_expire() {
        let tokens = tokens();
        let Issued { access_token, expires_at, .. } = tokens.issue(Some("secret"), "a", ID, NOW).unwrap();
        let check = |now| tokens.check(Some(&access_token), ID, now);
        assert!(check(expires_at + LEEWAY - 1).is_ok());
        assert_eq!(check(expires_at + LEEWAY), Err(Denied::Expired));
    }

    #[test]
    fn forged_access_tokens_are_rejected() {
        let tokens = tokens();
        let issue = |tokens: &Tokens| tokens.issue(Some("readonly"), "a", ID, NOW).unwrap().access_token;
        let (token, foreign) = (issue(&tokens), issue(&self::tokens()));
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&token).unwrap();
        let flipped = (0..bytes.len()).map(|i| {
            let mut bytes = bytes.clone();
            bytes[i] ^= 1;
            BASE64_URL_SAFE_NO_PAD.encode(bytes)
        });
        let truncated = (0..token.len()).map(|len| token[..len].to_owned());
        for forged in flipped.chain(truncated).chain([foreign, "secret".into(), "\u{e9}".into()]) {
            assert_eq!(tokens.check(Some(&forged), ID, NOW), Err(Denied::Invalid), "{forged}");
        }
        assert_eq!(tokens.check(None, ID, NOW), Err(Denied::Missing));
    }

    #[test]
    fn access_is_unrestricted_without_tokens() {
        let tokens = Tokens::new(Vec::new(), &SystemRandom);
        assert!(tokens.issue(None, "a", ID, NOW).is_ok());
        assert_eq!(tokens.check(None, ID, NOW), Ok(Grant { token: 0, access: Access::ReadWrite }));
    }

    #[test]
    fn debug_output_omits_the_secret() {
        let token = format!("{:?}", Token::new("operator", "secret"));
        assert!(token.contains("operator") && !token.contains("secret"), "{token}");
    }
}
