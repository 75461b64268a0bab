// SPDX-License-Identifier: MIT OR Apache-2.0
// Where a CPU starts that the first one has started: from real mode, in a page below 1 MiB, to 64-bit Rust.

.section .rodata.trampoline, "a"
.code16
.global trampoline_start
trampoline_start:                           // copied there; CS is the page, nothing else is known
    cli
    jmp 1f
.balign 8
    .word 15                                // at 8: where early_gdt is, below 16 MiB
    .long early_gdt
1:  mov ax, cs
    mov ds, ax
    mov eax, offset early_pml4              // the first 4 GiB where they are, as when boot itself started
    mov cr3, eax
    mov eax, 1 << 5                         // PAE
    mov cr4, eax
    mov ecx, 0xc0000080                     // EFER
    mov eax, 1 << 8 | 1 << 11               // LME, NXE: the first CPU has both
    xor edx, edx
    wrmsr
    mov eax, 0x80010035                     // as in entry.s
    mov cr0, eax
    lgdt [8]
    .byte 0x66, 0xea                        // far jump to a 32-bit offset
    .long other_cpu
    .word 8
.global trampoline_end
trampoline_end:

.section .text.trampoline, "ax"
.code64
other_cpu:
    xor eax, eax
    mov ss, eax
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov rax, [other_cr3]
    mov cr3, rax
    mov edi, 1
    lock xadd [other_number], edi           // this CPU's number: other_main's argument
    cmp edi, [other_end]
    jae other_stop                          // more answer than were called
    mov eax, edi
    shl rax, 16                             // one slot of 64 KiB each; the stack ends where the next slot begins
    mov rsp, [other_stacks]
    lea rsp, [rsp + rax + 0x10000]
    xor ebp, ebp
    cld
    call other_main
    mov byte ptr [rax], 2                   // DONE: from here on the stack is not this CPU's
other_stop:                                 // for ever: touches no memory but these instructions
    cli
    hlt
    jmp other_stop

.section .data.trampoline, "aw"
.balign 8
.global other_cr3
other_cr3:    .quad 0
.global other_stacks
other_stacks: .quad 0
.global other_number
other_number: .long 1                       // 0 is the first CPU
.global other_end
other_end:    .long 0
