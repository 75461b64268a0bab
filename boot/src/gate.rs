// SPDX-License-Identifier: MIT OR Apache-2.0
//! The door between ring 0 and ring 3: segments, traps and the switch itself.
//!
//! Boot runs with interrupts off and ring 3 with interrupts on, so a program runs inside one call of [`enter`], which
//! returns when it traps - by a system call, a fault or the timer.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use handoff::abi::SYSCALL_VECTOR;
use x86_64::instructions::{segmentation::Segment, tables::load_tss};
use x86_64::registers::control::{Cr2, Cr3};
use x86_64::registers::segmentation::{CS, SS};
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::idt::InterruptDescriptorTable;
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
    // SAFETY: (1) Only this function and the assembly it calls use `gate_frame`, and boot runs on one CPU with interrupts
    // off. (2) The caller vouches for `cr3`; code, data and trap path of the gate lie in the gate sections. (3) Segments
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

// SAFETY: boot runs on one CPU; the cells are written once before they are handed to that CPU and never borrowed again.
unsafe impl<T> Sync for GateCell<T> {}

impl<T> GateCell<T> {
    const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Writes the value and returns where it lies.
    fn write(&'static self, value: T) -> *mut T {
        // SAFETY: `set_up` runs once and alone, and calls this once per cell before anything reads the cell.
        unsafe { (*self.0.get()).write(value) }
    }
}

#[unsafe(link_section = ".bss.gate")]
static GDT: GateCell<GlobalDescriptorTable> = GateCell::new();
#[unsafe(link_section = ".bss.gate")]
static TSS: GateCell<TaskStateSegment> = GateCell::new();
#[unsafe(link_section = ".bss.gate")]
static IDT: GateCell<InterruptDescriptorTable> = GateCell::new();
#[unsafe(link_section = ".bss.gate")]
static STACKS: GateCell<[Stack; 3]> = GateCell::new();

/// A stack for faults that must not use the one they happened on.
#[repr(C, align(16))]
struct Stack([u8; 4096]);

/// Index of the stack of each such fault.
const DOUBLE_FAULT_STACK: u16 = 0;
const NMI_STACK: u16 = 1;
const MACHINE_CHECK_STACK: u16 = 2;

/// Loads segments and trap vectors. To be called once, before anything can fault.
pub(crate) fn set_up() {
    let stacks = STACKS.write([const { Stack([0; 4096]) }; 3]) as u64;
    let mut tss = TaskStateSegment::new();
    tss.privilege_stack_table[0] = VirtAddr::from_ptr(&raw const gate_frame_end);
    for i in [DOUBLE_FAULT_STACK, NMI_STACK, MACHINE_CHECK_STACK] {
        let end = stacks + (u64::from(i) + 1) * size_of::<Stack>() as u64;
        tss.interrupt_stack_table[usize::from(i)] = VirtAddr::new(end);
    }
    let mut idt = InterruptDescriptorTable::new();
    fill(&mut idt);
    let (tss, gdt, idt) = (TSS.write(tss), GDT.write(GlobalDescriptorTable::new()), IDT.write(idt));

    // SAFETY: (1) The three tables were just written, live for ever, and are mapped in every address space; these are the
    // only references to them. (2) The selectors loaded are those just appended: ring 0 code at 8; SS may be null in ring 0.
    // (3) One CPU, interrupts off, no program running: nobody else uses `gate_cr3`.
    unsafe {
        gate_cr3 = Cr3::read().0.start_address().as_u64();
        let code = (*gdt).append(Descriptor::kernel_code_segment());
        (*gdt).append(Descriptor::kernel_data_segment());
        (*gdt).append(Descriptor::user_data_segment());
        (*gdt).append(Descriptor::user_code_segment());
        let task = (*gdt).append(Descriptor::tss_segment(&*tss));
        (*gdt).load();
        CS::set_reg(code);
        SS::set_reg(x86_64::structures::gdt::SegmentSelector::NULL);
        load_tss(task);
        (*idt).load();
    }
}

/// Points every vector at its stub.
fn fill(idt: &mut InterruptDescriptorTable) {
    // SAFETY (of every block below): the stubs save all registers and end in `enter`'s return or in `fatal_trap`; the
    // number of each stub is that of the vector it is set for, so error codes are where the stub expects them.
    let stub = |index: u8| VirtAddr::from_ptr(&raw const gate_vectors) + 16 * u64::from(index);
    macro_rules! exceptions {
        ($($name:ident = $vector:literal $(on $stack:ident)?;)*) => {$({
            // SAFETY: see above.
            let options = unsafe { idt.$name.set_handler_addr(stub($vector)) };
            // SAFETY: the stack exists and nothing else uses it.
            $(unsafe { options.set_stack_index($stack) };)?
            let _ = options;
        })*};
    }
    exceptions! {
        divide_error = 0;
        debug = 1;
        non_maskable_interrupt = 2 on NMI_STACK;
        breakpoint = 3;
        overflow = 4;
        bound_range_exceeded = 5;
        invalid_opcode = 6;
        device_not_available = 7;
        double_fault = 8 on DOUBLE_FAULT_STACK;
        invalid_tss = 10;
        segment_not_present = 11;
        stack_segment_fault = 12;
        general_protection_fault = 13;
        page_fault = 14;
        x87_floating_point = 16;
        alignment_check = 17;
        machine_check = 18 on MACHINE_CHECK_STACK;
        simd_floating_point = 19;
        virtualization = 20;
        cp_protection_exception = 21;
        hv_injection_exception = 28;
        vmm_communication_exception = 29;
        security_exception = 30;
    }
    for (index, vector) in (32..).zip(OTHER_VECTORS) {
        // SAFETY: see above.
        let options = unsafe { idt[vector].set_handler_addr(stub(index)) };
        if vector == SYSCALL_VECTOR {
            options.set_privilege_level(PrivilegeLevel::Ring3); // the one vector that a program may raise
        }
    }
}

/// Makes traps return to the address space that is in use now.
pub(crate) fn return_here() {
    // SAFETY: one CPU, interrupts off, and no program is running: nobody reads the variable now.
    unsafe { gate_cr3 = Cr3::read().0.start_address().as_u64() }
}

/// A fault in boot itself, or one that leaves no way back.
#[unsafe(no_mangle)]
extern "C" fn fatal_trap(frame: &Frame) -> ! {
    panic!(
        "{} at {:#x} (address {:#x}, error {:#x}, stack {:#x}): this is a defect of boot or of the machine",
        name(frame.vector),
        frame.rip,
        Cr2::read_raw(),
        frame.error,
        frame.rsp,
    );
}

/// Returns the name of a vector, as one word.
pub(crate) fn name(vector: u64) -> &'static str {
    match vector {
        0 => "divide-error",
        1 => "debug",
        2 => "non-maskable-interrupt",
        3 => "breakpoint",
        4 => "overflow",
        5 => "bound-range",
        6 => "invalid-instruction",
        7 => "no-fpu",
        8 => "double-fault",
        10 => "invalid-tss",
        11 => "segment-not-present",
        12 => "stack-segment-fault",
        13 => "general-protection",
        14 => "page-fault",
        16 | 19 => "floating-point",
        17 => "alignment",
        18 => "machine-check",
        21 => "control-protection",
        _ => "unexpected-interrupt",
    }
}
