// SPDX-License-Identifier: MIT OR Apache-2.0
// The one door between ring 0 and ring 3. A trap from ring 3 stores the program's registers in `gate_frame` and returns
// from `gate_enter`; everything here is mapped in every address space, nothing else of boot is.

.section .gate.text, "ax"

// extern "C" fn gate_enter(cr3: u64): runs the program whose registers are in gate_frame, until it traps.
.global gate_enter
gate_enter:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [gate_rsp], rsp
    mov cr3, rdi
    mov rsp, offset gate_frame
resume:
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 16                             // vector, error code
    iretq

// Every vector comes here with its number on the stack, above an error code.
trap:
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    mov rax, [gate_cr3]
    mov cr3, rax
    mov rax, offset gate_frame
    cmp rsp, rax                            // from ring 3 the CPU started at the end of gate_frame
    jne in_boot
    mov rsp, [gate_rsp]
    push 2                                  // no flag of the program survives: not DF, not AC, not NT
    popfq
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

in_boot:                                    // in boot itself, on any CPU, or on a stack of its own
    mov rdi, rsp
    mov rbx, rsp                            // the callee keeps it
    and rsp, -16
    cld
    call trap_in_boot                       // returns from the timer only
    mov rsp, rbx
    jmp resume

.macro vector number, error=0
    .balign 16
    .if \error == 0
    push 0
    .endif
    push \number
    jmp trap
.endm

// Stubs of 16 bytes: 32 exceptions, then what gate.rs calls SYSCALL, TIMER and SPURIOUS.
.balign 16
.global gate_vectors
gate_vectors:
.set number, 0
.rept 32
    .if number == 8 || (number >= 10 && number <= 14) || number == 17 || number == 21 || number == 29 || number == 30
    vector number, 1
    .else
    vector number
    .endif
    .set number, number + 1
.endr
    vector 0x80
    vector 0xf0
    vector 0xff

.section .bss.gate, "aw", @nobits
.balign 16
.global gate_frame
gate_frame: .skip 22 * 8                    // 15 registers, vector, error, rip, cs, rflags, rsp, ss
gate_frame_end:
.global gate_frame_end
gate_rsp:   .skip 8
.global gate_cr3
gate_cr3:   .skip 8
