// SPDX-License-Identifier: MIT OR Apache-2.0
//! The door between ring 0 and ring 3: segments, traps and the switch itself.
//!
//! Boot runs with interrupts off and ring 3 with interrupts on, so a program runs inside one call of [`enter`], which
//! returns when it traps - by a system call, a fault or the timer.

use crate::smp;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use handoff::abi::SYSCALL_VECTOR;
use x86_64::instructions::segmentation::Segment;
use x86_64::instructions::tables::{lidt, load_tss};
use x86_64::registers::control::{Cr2, Cr3};
use x86_64::registers::segmentation::{CS, SS};
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::tss::TaskStateSegment;
use x86_64::{PrivilegeLevel, VirtAddr};

core::arch::global_asm!(include_str!("gate.s"));

unsafe extern "C" {
    fn gate_enter(cr3: u64);
    static gate_vectors: [[u8; 16]; 35];
    static gate_frame_end: u8;
    static mut gate_frame: Frame;
    static mut gate_cr3: u64;
}

/// The timer's vector. It and the next one have the highest priority; no other interrupt is let through.
pub(crate) const TIMER_VECTOR: u8 = 0xf0;
/// The vector that the APIC raises when an interrupt has gone away again.
pub(crate) const SPURIOUS_VECTOR: u8 = 0xff;
/// Stubs that follow those of the exceptions.
const OTHER_VECTORS: [u8; 3] = [SYSCALL_VECTOR, TIMER_VECTOR, SPURIOUS_VECTOR];

const USER_DATA: u64 = 0x18 | 3;
const USER_CODE: u64 = 0x20 | 3;
/// Interrupts on, and the bit that is always set.
const USER_FLAGS: u64 = 0x202;

/// The registers of a program, in the order in which a trap stores them.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Frame {
    r15: u64,
    r14: u64,
    r13: u64,
    r12: u64,
    r11: u64,
    r10: u64,
    r9: u64,
    r8: u64,
    rbp: u64,
    /// First argument of a system call.
    pub(crate) rdi: u64,
    /// Second argument of a system call.
    pub(crate) rsi: u64,
    rdx: u64,
    rcx: u64,
    rbx: u64,
    /// Number of a system call, and its result.
    pub(crate) rax: u64,
    /// What trapped.
    pub(crate) vector: u64,
    /// What the CPU says about it.
    pub(crate) error: u64,
    /// Where.
    pub(crate) rip: u64,
    pub(crate) cs: u64,
    rflags: u64,
    /// The stack pointer.
    pub(crate) rsp: u64,
    ss: u64,
}

impl Frame {
    /// Returns the registers of a program that starts at `entry` with its stack at `stack`.
    pub(crate) fn start(entry: u64, stack: u64) -> Self {
        Self { rip: entry, cs: USER_CODE, rflags: USER_FLAGS, rsp: stack, ss: USER_DATA, ..Self::default() }
    }
}

/// Runs the program with these registers in the address space at `cr3` until it traps; the registers are then the
/// program's new ones.
///
/// # Safety
/// `cr3` must be the physical address of a complete address space that maps the gate sections of the image where they
/// are, for ring 0 only, and otherwise only what the program may have.
pub(crate) unsafe fn enter(cr3: u64, frame: &mut Frame) {
    // SAFETY: (1) Only this function and the assembly it calls use `gate_frame`, and programs run while there is one CPU, with
    // interrupts off in boot. (2) The caller vouches for `cr3`; code, data and trap path of the gate lie in the gate sections. (3) Segments
    // and flags in the frame are those of `Frame::start` or what the CPU stored in ring 3, so `iretq` enters ring 3. (4) The instruction pointer is canonical, so that
    // `iretq` does not fault: the loader checks the entry point, and no program has code at the end of the lower half.
    unsafe {
        gate_frame = *frame;
        gate_enter(cr3);
        *frame = gate_frame;
    }
}

/// A value that lives in the gate's pages and is written once, by [`set_up`].
struct GateCell<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: each cell is written by the first CPU while there is no other, and from then on only read.
unsafe impl<T> Sync for GateCell<T> {}

impl<T> GateCell<T> {
    const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }
}

#[unsafe(link_section = ".bss.gate")]
static FIRST: GateCell<Segments> = GateCell::new();
#[unsafe(link_section = ".bss.gate")]
static IDT: GateCell<[u128; 256]> = GateCell::new();

/// Segments of one CPU, and its stacks for faults that must not use the one they happened on.
#[repr(C, align(16))]
pub(crate) struct Segments {
    stacks: [[u8; 4096]; 3],
    gdt: GlobalDescriptorTable,
    tss: TaskStateSegment,
}

/// Each exception whose fault has a stack of its own; the CPU counts the stacks from 1.
const ON_STACKS: [usize; 3] = [2, 8, 18]; // non-maskable interrupt, double fault, machine check

/// Loads segments and trap vectors of the first CPU. To be called once, before anything can fault.
pub(crate) fn set_up() {
    let stub = |index: usize| (&raw const gate_vectors) as u64 + 16 * index as u64;
    let mut idt = [0; 256];
    for vector in (0..NAMES.len()).filter(|vector| !NAMES[*vector].is_empty()) {
        let stack = ON_STACKS.iter().position(|on| *on == vector).map_or(0, |stack| stack + 1);
        idt[vector] = interrupt_gate(stub(vector), stack, PrivilegeLevel::Ring0);
    }
    for (index, vector) in (NAMES.len()..).zip(OTHER_VECTORS) {
        // One vector may be raised by a program.
        let by = if vector == SYSCALL_VECTOR { PrivilegeLevel::Ring3 } else { PrivilegeLevel::Ring0 };
        idt[usize::from(vector)] = interrupt_gate(stub(index), 0, by);
    }
    // SAFETY: this is the only CPU, with interrupts off and no program running: nobody else uses these variables. Nothing
    // is dropped: there was nothing before.
    unsafe {
        gate_cr3 = Cr3::read().0.start_address().as_u64();
        (*IDT.0.get()).write(idt);
        load(FIRST.0.get());
    }
}

/// Loads segments and trap vectors of this CPU.
///
/// # Safety
/// The first CPU must have done [`set_up`]. Where `segments` points to, they stay as long as this CPU runs, used by nothing
/// else.
pub(crate) unsafe fn load(segments: *mut MaybeUninit<Segments>) {
    let segments = segments.cast::<Segments>();
    let mut tss = TaskStateSegment::new();
    tss.privilege_stack_table[0] = VirtAddr::from_ptr(&raw const gate_frame_end);
    for stack in 0..ON_STACKS.len() {
        tss.interrupt_stack_table[stack] = VirtAddr::from_ptr(segments) + (stack as u64 + 1) * 4096;
    }
    let idt = DescriptorTablePointer { limit: 4095, base: VirtAddr::from_ptr(IDT.0.get()) };

    // SAFETY: (1) The caller vouches for place and life of the segments, and for the IDT, whose gates lead to the stubs of
    // their own vectors: error codes are where a stub expects them. (2) The selectors loaded are those just appended: ring
    // 0 code at 8; SS may be null in ring 0.
    unsafe {
        (&raw mut (*segments).tss).write(tss);
        (&raw mut (*segments).gdt).write(const { segments_of_all() });
        let gdt = &mut (*segments).gdt;
        let task = gdt.append(Descriptor::tss_segment_unchecked(&raw const (*segments).tss));
        gdt.load_unsafe();
        CS::set_reg(SegmentSelector::new(1, PrivilegeLevel::Ring0));
        SS::set_reg(SegmentSelector::NULL);
        load_tss(task);
        lidt(&idt);
    }
}

/// Returns the segments that all CPUs share: a TSS each has for itself.
const fn segments_of_all() -> GlobalDescriptorTable {
    let mut gdt = GlobalDescriptorTable::new();
    gdt.append(Descriptor::kernel_code_segment());
    gdt.append(Descriptor::kernel_data_segment());
    gdt.append(Descriptor::user_data_segment());
    gdt.append(Descriptor::user_code_segment());
    gdt
}

/// Returns a gate for an interrupt, which is off inside; stack 0 is the one in use.
fn interrupt_gate(handler: u64, stack: usize, by: PrivilegeLevel) -> u128 {
    const CODE: u64 = 8;
    let kind = 0x8e | (by as u64) << 5; // present, interrupt gate
    let low = handler & 0xffff | CODE << 16 | (stack as u64) << 32 | kind << 40 | (handler >> 16 & 0xffff) << 48;
    u128::from(handler >> 32) << 64 | u128::from(low)
}

/// Makes traps return to the address space that is in use now.
pub(crate) fn return_here() {
    // SAFETY: one CPU, interrupts off, and no program is running: nobody reads the variable now.
    unsafe { gate_cr3 = Cr3::read().0.start_address().as_u64() }
}

/// A trap in boot itself: the timer, while other CPUs run, or a fault, or something that leaves no way back.
#[unsafe(no_mangle)]
extern "C" fn trap_in_boot(frame: &Frame) {
    match frame.vector as u8 {
        TIMER_VECTOR => smp::tick(),
        SPURIOUS_VECTOR => {}
        _ => panic!(
            "{} at {:#x} (address {:#x}, error {:#x}, stack {:#x}): this is a defect of boot or of the machine",
            name(frame.vector),
            frame.rip,
            Cr2::read_raw(),
            frame.error,
            frame.rsp,
        ),
    }
}

/// The exceptions by their vectors, each as one word; the CPU raises no others.
const NAMES: [&str; 32] = [
    "divide-error",
    "debug",
    "non-maskable-interrupt",
    "breakpoint",
    "overflow",
    "bound-range",
    "invalid-instruction",
    "no-fpu",
    "double-fault",
    "",
    "invalid-tss",
    "segment-not-present",
    "stack-segment-fault",
    "general-protection",
    "page-fault",
    "",
    "floating-point",
    "alignment",
    "machine-check",
    "floating-point",
    "virtualization",
    "control-protection",
    "",
    "",
    "",
    "",
    "",
    "",
    "hypervisor-injection",
    "vmm-communication",
    "security",
    "",
];

/// Returns the name of a vector, as one word.
pub(crate) fn name(vector: u64) -> &'static str {
    let name = NAMES.get(vector as usize).copied().unwrap_or_default();
    if name.is_empty() { "unexpected-interrupt" } else { name }
}
