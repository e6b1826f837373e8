//! The full authentication of caching_sha2_password, for users that are stored as `$A$` hashes: the RSA key that a client without
//! TLS seals its password with, and the passwords that it has left.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use proxyd_wire::auth::Secret;
use proxyd_wire::auth::sha2::{self, CachedHash};

use crate::tls::RsaKey;

/// What full authentications have left: the passwords of users that are stored as `$A$` hashes. Shared by the workers,
/// used at logins only, and as bounded as the users table.
#[derive(Default)]
pub struct FullAuthCache {
    known: Mutex<HashMap<Box<str>, Known>>,
}

struct Known {
    stored: Box<str>,
    hash: CachedHash,
    secret: Secret,
}

impl FullAuthCache {
    pub(super) fn find(&self, user: &str, stored: &str) -> Option<(CachedHash, Secret)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(user)
            .filter(|entry| &*entry.stored == stored)
            .map(|entry| (entry.hash, entry.secret.clone()))
    }

    pub(super) fn learn(&self, user: &str, stored: &str, secret: &Secret) {
        let Secret::Password(password) = secret else { return };
        let entry = Known {
            stored: stored.into(),
            hash: sha2::cached_hash(password.as_bytes()),
            secret: secret.clone(),
        };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(user.into(), entry);
    }
}

/// Makes the RSA key in the background: it takes some 100 ms, and only clients without TLS whose password is stored as
/// a hash ever need it.
pub fn prepare_rsa(cell: Arc<OnceLock<RsaKey>>) {
    std::thread::spawn(move || make_rsa(&cell));
}

/// The public key; the key is made now if nobody needed it before (such users may come long after the start).
pub(super) async fn public_key(cell: &Arc<OnceLock<RsaKey>>) -> Option<String> {
    if cell.get().is_none() {
        let cell = Arc::clone(cell);
        // A panic in there leaves the cell empty, as an error does.
        let _ = tokio::task::spawn_blocking(move || make_rsa(&cell)).await;
    }
    cell.get().map(|key| key.public_pem().to_owned())
}

/// Of two that make one at the same time the first is kept.
fn make_rsa(cell: &OnceLock<RsaKey>) {
    match RsaKey::generate() {
        Ok(key) => drop(cell.set(key)),
        Err(error) => tracing::warn!(%error, "no RSA key: $A$ users can log in under TLS only"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_key_is_made_for_the_first_who_needs_it_and_kept() {
        let cell = Arc::new(OnceLock::new());
        let first = public_key(&cell).await.unwrap();
        assert!(first.starts_with("-----BEGIN PUBLIC KEY-----"));
        assert_eq!(public_key(&cell).await.unwrap(), first);
    }
}
