//! Encryption on the way to the server, in libpq's words: `prefer` and `require` encrypt and ask nobody who the server
//! is, `verify-ca` and `verify-full` do.

use std::path::Path;
use std::sync::Arc;

use store::StoreError;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, crypto,
};

/// How connections are encrypted.
#[derive(Clone)]
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Encrypts, and takes any certificate.
    pub(crate) fn unverified() -> Result<Self, StoreError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let verifier = Arc::new(AnyServer(Arc::clone(&provider)));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(tls_fault)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    /// Encrypts, and takes only a certificate for the host's name, signed by one of these or by one that the machine
    /// trusts.
    pub(crate) fn verified(roots: Option<&Path>) -> Result<Self, StoreError> {
        let mut trusted = RootCertStore::empty();
        if let Some(path) = roots {
            let certificates = CertificateDer::pem_file_iter(path).map_err(tls_fault)?;
            for certificate in certificates {
                trusted
                    .add(certificate.map_err(tls_fault)?)
                    .map_err(tls_fault)?;
            }
        } else {
            for certificate in rustls_native_certs::load_native_certs().certs {
                // A machine may trust some that cannot be read.
                drop(trusted.add(certificate));
            }
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(tls_fault)?
            .with_root_certificates(trusted)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn connector(&self) -> MakeRustlsConnect {
        MakeRustlsConnect::new(self.0.as_ref().clone())
    }
}

fn tls_fault(source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Database {
        action: "setting up the encryption of connections",
        source: Box::new(source),
    }
}

/// Takes whoever answers, as long as they hold the key of the certificate that they show.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
