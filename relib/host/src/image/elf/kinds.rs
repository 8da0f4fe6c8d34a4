//! Kinds of relocations, whatever the processor calls them.

/// What a relocation writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    None,
    /// Image base plus addend.
    Relative,
    /// Address of a symbol plus addend.
    Symbolic,
    /// Address of a symbol, in the global offset table.
    GlobDat,
    /// Address of a function, in the procedure linkage table.
    JumpSlot,
    /// What the function at image base plus addend returns.
    IRelative,
    /// Number of the image in which a thread-local is defined.
    TlsModule,
    /// Offset of a thread-local.
    TlsOffset,
    /// Function and argument that find a thread-local.
    TlsDescriptor,
}
