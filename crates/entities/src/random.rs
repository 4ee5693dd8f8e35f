//! The seam through which randomness comes in.

/// Draws random bytes.
///
/// The system's generator stands behind it in the binary, a seeded one in tests.
pub trait Random: Send + Sync {
    /// Fills the whole buffer.
    fn fill(&self, buffer: &mut [u8]);
}
