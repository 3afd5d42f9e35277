//! Which certificate a client is shown, and what is insisted on with it.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use plan::tls::{Certificate, ClientAuth, Der, KeyForm, Policy, PolicyId, PrivateKey, Tickets};
use plan::{HostIndex, HostPattern, Tls};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer,
    PrivateSec1KeyDer,
};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier,
};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{RootCertStore, ServerConfig, SignatureAlgorithm, SignatureScheme};

use crate::provider::{provider, versions};
use crate::tickets::{TicketKeys, Ticketer};

/// Who answers handshakes, and how.
///
/// It is built on the control thread and never changed; shards share it, and a reload replaces it as a whole. The way of a
/// handshake: the client's hello is read, [`Acceptor::choose`] finds who answers to the name in it, and the handshake goes on
/// with the [`Host::config`]. Where that depends on nothing that a client says, [`Acceptor::sole`] saves the first step.
pub struct Acceptor {
    sites: Arc<Sites>,
    /// By policy.
    hosts: Box<[Host]>,
    /// What signs for each certificate, to be kept by the acceptor after this one where the certificate is the same.
    signers: Signers,
}

/// One policy, and all certificates that are shown under it.
#[derive(Debug, Clone)]
pub struct Host {
    /// How its handshakes are conducted. Extraction of secrets is enabled: records are protected by this crate.
    pub config: Arc<ServerConfig>,
    /// Which policy it is, the same as long as versions, suites, authentication of clients and trust in them are. Two names with
    /// the same identity may share a connection; two with different ones never do.
    pub identity: u64,
    /// Whether clients are asked who they are.
    pub asks_clients: bool,
    /// Whether clients that take no part in ALPN are to be refused: what they speak is HTTP/1.1, which is not among the protocols.
    pub needs_alpn: bool,
}

/// Why there is no acceptor.
#[derive(Debug, thiserror::Error)]
pub enum AcceptorError {
    /// A certificate cannot be shown.
    #[error("{name}: {reason}")]
    Certificate {
        /// What it is called.
        name: String,
        /// What is wrong with it, or with its key.
        reason: rustls::Error,
    },
    /// What clients are judged by cannot be used.
    #[error("client certificates cannot be verified: {0}")]
    ClientAuth(String),
    /// The policy does not hold together.
    #[error("the policy cannot be kept: {0}")]
    Policy(rustls::Error),
}

/// A certificate with what signs for it, if its key is one that can and fits it.
///
/// # Errors
/// When the key is not understood, or does not belong to the certificate.
pub fn certify(certificate: &Certificate) -> Result<Arc<CertifiedKey>, rustls::Error> {
    let chain = certificate.chain.iter().map(|der| CertificateDer::from(der.0.to_vec())).collect();
    let certified = CertifiedKey::new(chain, signing_key(&certificate.key)?);
    // Not `from_der`, which lets a key pass that does not tell its public half.
    certified.keys_match()?;
    Ok(Arc::new(certified))
}

/// The public half of a key with its kind (SubjectPublicKeyInfo) in DER, as it stands in a certificate. `None` if the key is of
/// no kind that is known.
#[must_use]
pub fn public_key(key: &PrivateKey) -> Option<Vec<u8>> {
    signing_key(key).ok()?.public_key().map(|public| public.to_vec())
}

fn signing_key(key: &PrivateKey) -> Result<Arc<dyn SigningKey>, rustls::Error> {
    let der = key.secret_der().to_vec();
    let key = match key.form {
        KeyForm::Pkcs8 => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)),
        KeyForm::Pkcs1 => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der)),
        KeyForm::Sec1 => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der)),
    };
    rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
}

impl Acceptor {
    /// The acceptor for `tls`, whose tickets are made with `keys` if it has any. What it has in common with the one `before`
    /// (the very same certificates) is not made again.
    ///
    /// # Errors
    /// When a certificate or a policy cannot be used. What [`certify`] lets through can.
    pub fn new(tls: &Tls, keys: Option<&TicketKeys>, before: Option<&Acceptor>) -> Result<Acceptor, AcceptorError> {
        Acceptor::stapling(tls, keys, &|_| None, before)
    }

    /// The same, but that clients are shown with each certificate the answer of its issuer that `staples` has for it (OCSP,
    /// RFC 6066 §8). Answers are not judged here.
    ///
    /// # Errors
    /// As there.
    pub fn stapling(
        tls: &Tls,
        keys: Option<&TicketKeys>,
        staples: &dyn Fn(&Certificate) -> Option<Arc<Der>>,
        before: Option<&Acceptor>,
    ) -> Result<Acceptor, AcceptorError> {
        let mut signers = Signers::new();
        let mut sites = Vec::with_capacity(tls.hosts.len());
        for host in &tls.hosts {
            let mut offers = Vec::with_capacity(host.certificates.len());
            for certificate in &host.certificates {
                let staple = staples(certificate);
                offers.push(Offer::new(signer(certificate, staple.as_deref(), &mut signers, before)?));
            }
            // A signature with a curve costs a tenth of one with RSA: it comes first, whatever the order in which they were given.
            offers.sort_by_key(|offer| offer.certified.key.algorithm() == SignatureAlgorithm::RSA);
            sites.push(Site { policy: host.policy, offers: offers.into() });
        }
        let names = tls.hosts.iter().zip(0..).flat_map(|(host, id)| host.names.iter().map(move |name| (name, id)));
        let names: Vec<(&HostPattern, u32)> = names.collect();
        let default = tls.default.and_then(|index| u32::try_from(index).ok());
        let sites = Arc::new(Sites { index: HostIndex::new(&names), sites: sites.into(), default });
        let tickets = tls.tickets.as_ref().zip(keys);
        let ids = (0..=u16::MAX).map(PolicyId);
        let hosts = tls.policies.iter().zip(ids).map(|(policy, id)| host(policy, id, &sites, tickets));
        let hosts = hosts.collect::<Result<_, _>>()?;
        Ok(Acceptor { sites, hosts, signers })
    }

    /// An acceptor that serves every name alike.
    #[must_use]
    pub fn single(host: Host) -> Acceptor {
        let sites = [Site { policy: PolicyId(0), offers: Box::default() }].into();
        let sites = Arc::new(Sites { index: HostIndex::new(&[]), sites, default: Some(0) });
        Acceptor { sites, hosts: [host].into(), signers: Signers::new() }
    }

    /// The host for the name that a client asks for (SNI), in any case; `None` in its place if it names none. Nobody answers to a
    /// name that is not configured where there is no default: the handshake is refused by the alert `unrecognized_name`
    /// (RFC 6066 §3).
    #[inline]
    #[must_use]
    pub fn choose(&self, sni: Option<&str>) -> Option<&Host> {
        self.find(sni.map(str::as_bytes))
    }

    /// What every client meets, whatever it asks for.
    #[must_use]
    pub fn sole(&self) -> Option<&Host> {
        self.sites.default?;
        if let [host] = &*self.hosts { Some(host) } else { None }
    }

    /// Whether a request for `authority` (a host without port, in any case; empty where the request names none) may come over
    /// a connection whose client asked for `sni`. Not if it would have met another policy: then it is answered by 421
    /// (RFC 9110 §15.5.20).
    #[inline]
    #[must_use]
    pub fn fits(&self, sni: Option<&str>, authority: &[u8]) -> bool {
        if sni.is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(authority)) {
            return true;
        }
        let asked_for = self.find((!authority.is_empty()).then_some(authority)).map(|host| host.identity);
        asked_for.is_some() && asked_for == self.choose(sni).map(|host| host.identity)
    }

    #[inline]
    fn find(&self, name: Option<&[u8]>) -> Option<&Host> {
        Some(&self.hosts[usize::from(self.sites.find(name)?.policy.0)])
    }

    /// How many certificates there are.
    #[must_use]
    pub fn certificates(&self) -> usize {
        self.signers.len()
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// By what a certificate is made of: its digest.
type Signers = HashMap<[u8; 32], Arc<CertifiedKey>>;

/// Who answers to which name, as every config asks for it.
#[derive(Debug)]
struct Sites {
    index: HostIndex<u32>,
    sites: Box<[Site]>,
    default: Option<u32>,
}

/// What is under some names.
#[derive(Debug)]
struct Site {
    policy: PolicyId,
    /// Best first.
    offers: Box<[Offer]>,
}

/// A certificate that a client may be shown.
#[derive(Debug)]
struct Offer {
    certified: Arc<CertifiedKey>,
    /// What its key can sign with.
    schemes: Box<[SignatureScheme]>,
}

impl Sites {
    #[inline]
    fn find(&self, name: Option<&[u8]>) -> Option<&Site> {
        let id = name.and_then(|name| self.index.find(name)).or(self.default)?;
        Some(&self.sites[id as usize])
    }
}

impl Offer {
    fn new(certified: Arc<CertifiedKey>) -> Offer {
        use SignatureScheme as Scheme;
        let all = [
            Scheme::ECDSA_NISTP256_SHA256,
            Scheme::ECDSA_NISTP384_SHA384,
            Scheme::ECDSA_NISTP521_SHA512,
            Scheme::ED25519,
            Scheme::RSA_PSS_SHA256,
            Scheme::RSA_PSS_SHA384,
            Scheme::RSA_PSS_SHA512,
            Scheme::RSA_PKCS1_SHA256,
            Scheme::RSA_PKCS1_SHA384,
            Scheme::RSA_PKCS1_SHA512,
        ];
        let schemes = all.into_iter().filter(|scheme| certified.key.choose_scheme(&[*scheme]).is_some()).collect();
        Offer { certified, schemes }
    }

    fn suits(&self, offered: &[SignatureScheme]) -> bool {
        self.schemes.iter().any(|scheme| offered.contains(scheme))
    }
}

/// What chooses the certificate in handshakes under one policy.
#[derive(Debug)]
struct Resolver {
    sites: Arc<Sites>,
    policy: PolicyId,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let site = self.sites.find(hello.server_name().map(str::as_bytes))?;
        // A handshake that came by another policy's config, by a mistake of ours, ends here.
        if site.policy != self.policy {
            return None;
        }
        let offered = hello.signature_schemes();
        // A client that can verify none of them is told so by rustls.
        let offer = site.offers.iter().find(|offer| offer.suits(offered)).or(site.offers.first())?;
        Some(Arc::clone(&offer.certified))
    }
}

/// What signs for `certificate` and shows `staple` with it, made anew only where the acceptor `before` has not.
fn signer(
    certificate: &Certificate,
    staple: Option<&Der>,
    signers: &mut Signers,
    before: Option<&Acceptor>,
) -> Result<Arc<CertifiedKey>, AcceptorError> {
    let Certificate { name, chain, key, stapling: _, not_after_unix_s: _ } = certificate;
    let digest = digest(|add| {
        chain.iter().for_each(|der| add(b"chain", &der.0));
        add(b"key", key.secret_der());
        staple.iter().for_each(|der| add(b"ocsp", &der.0));
    });
    let known = signers.get(&digest).or_else(|| before.and_then(|before| before.signers.get(&digest)));
    let certified = match known {
        Some(certified) => Arc::clone(certified),
        None => {
            let unusable = |reason| AcceptorError::Certificate { name: name.clone(), reason };
            let certified = certify(certificate).map_err(unusable)?;
            match staple {
                None => certified,
                Some(answer) => {
                    Arc::new(CertifiedKey { ocsp: Some(answer.0.to_vec()), ..CertifiedKey::clone(&certified) })
                }
            }
        }
    };
    signers.insert(digest, Arc::clone(&certified));
    Ok(certified)
}

/// The policy with this id, as handshakes keep it.
fn host(
    policy: &Policy,
    id: PolicyId,
    sites: &Arc<Sites>,
    tickets: Option<(&Tickets, &TicketKeys)>,
) -> Result<Host, AcceptorError> {
    let provider = provider(&policy.suites, &policy.groups);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(policy.version_min))
        .map_err(AcceptorError::Policy)?;
    let builder = match &policy.client_auth {
        None => builder.with_no_client_auth(),
        Some(auth) => builder.with_client_cert_verifier(verifier(auth, &provider)?),
    };
    let resolver = Resolver { sites: Arc::clone(sites), policy: id };
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = policy.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    // Sessions are kept by clients alone, in tickets: what a server kept, all shards would have to share.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // 0-RTT can be replayed, and rustls does not offer it together with tickets.
    config.max_early_data_size = 0;
    config.enable_secret_extraction = true;
    let binding = binding(policy);
    match tickets {
        None => config.send_tls13_tickets = 0,
        Some((tickets, keys)) => {
            let lifetime_s = u32::try_from(tickets.rotation.as_secs()).unwrap_or(u32::MAX);
            config.ticketer = Ticketer::new(keys, &binding, lifetime_s);
        }
    }
    let asks_clients = policy.client_auth.is_some();
    let [a, b, c, d, e, f, g, h, ..] = binding;
    let identity = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    let needs_alpn = !policy.alpn.iter().any(|name| name == "http/1.1");
    Ok(Host { config: Arc::new(config), identity, asks_clients, needs_alpn })
}

/// Who judges clients' certificates. Without lists of revocations none is taken for revoked; with some, what they do not
/// cover, and what a list says after it has expired, is as good as revoked.
fn verifier(auth: &ClientAuth, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, AcceptorError> {
    let refused = |reason: String| AcceptorError::ClientAuth(reason);
    let mut roots = RootCertStore::empty();
    for root in &auth.roots {
        roots.add(CertificateDer::from(root.0.to_vec())).map_err(|error| refused(error.to_string()))?;
    }
    let crls = auth.crls.iter().map(|crl| CertificateRevocationListDer::from(crl.0.to_vec()));
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = builder.with_crls(crls).enforce_revocation_expiration();
    let builder = if auth.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error: VerifierBuilderError| refused(error.to_string()))
}

/// All that a policy says: what tickets are bound to. The same on every machine.
fn binding(policy: &Policy) -> [u8; 32] {
    let Policy { version_min, suites, groups, client_auth, alpn } = policy;
    digest(|add| {
        add(b"version", version_min.name().as_bytes());
        suites.iter().for_each(|suite| add(b"suite", suite.name().as_bytes()));
        groups.iter().for_each(|group| add(b"group", group.name().as_bytes()));
        alpn.iter().for_each(|name| add(b"alpn", name.as_bytes()));
        if let Some(ClientAuth { required, roots, crls }) = client_auth {
            add(b"client", &[u8::from(*required)]);
            roots.iter().for_each(|root| add(b"root", &root.0));
            crls.iter().for_each(|crl| add(b"crl", &crl.0));
        }
    })
}

/// The SHA-256 of what is added, each with its kind and its length.
fn digest(parts: impl FnOnce(&mut dyn FnMut(&[u8], &[u8]))) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts(&mut |kind, bytes| {
        context.update(kind);
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(bytes);
    });
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
