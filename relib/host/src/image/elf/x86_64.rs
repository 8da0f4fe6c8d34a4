//! What is particular to x86-64 (System V ABI, AMD64 supplement, "Dynamic Linking").

use object::elf::{self, RelocationType};

use super::kinds::Kind;

/// `e_machine` of this processor.
pub(super) const MACHINE: elf::Machine = elf::EM_X86_64;
/// Name of this processor in messages.
pub(super) const NAME: &str = "x86-64";
/// The relocation of [`Kind::Relative`], of which there are more than of all others.
pub(super) const RELATIVE: RelocationType = elf::R_X86_64_RELATIVE;
/// Size of a memory page, the unit in which segments are mapped and protected.
pub(super) const PAGE: u64 = 4096;

/// The meaning of a relocation type, or `None` if shared objects have no use for it.
///
/// Left out on purpose: `R_X86_64_COPY` belongs to executables, and the 32-bit and PC-relative types patch code,
/// which would have to be writable.
pub(super) fn relocation_kind(r_type: RelocationType) -> Option<Kind> {
    Some(match r_type {
        elf::R_X86_64_NONE => Kind::None,
        elf::R_X86_64_64 => Kind::Symbolic,
        elf::R_X86_64_GLOB_DAT => Kind::GlobDat,
        elf::R_X86_64_JUMP_SLOT => Kind::JumpSlot,
        RELATIVE => Kind::Relative,
        elf::R_X86_64_IRELATIVE => Kind::IRelative,
        elf::R_X86_64_DTPMOD64 => Kind::TlsModule,
        elf::R_X86_64_DTPOFF64 | elf::R_X86_64_TPOFF64 => Kind::TlsOffset,
        elf::R_X86_64_TLSDESC => Kind::TlsDescriptor,
        _ => return None,
    })
}
