// SPDX-License-Identifier: MIT OR Apache-2.0
// From GRUB's 32-bit protected mode to 64-bit Rust, with the first 4 GiB mapped at 0 and at DIRECT_MAP.

.section .multiboot2, "a"
.balign 8
header:
    .long 0xe85250d6                        // magic
    .long 0                                 // i386, protected mode
    .long header_end - header
    .long -(0xe85250d6 + (header_end - header))
    .balign 8
    .word 6, 0                              // modules on page boundaries
    .long 8
    .balign 8
    .word 0, 0                              // end of tags
    .long 8
header_end:

.section .text.entry, "ax"
.code32
.global entry
entry:
    cld
    mov esp, offset boot_stack_end
    mov edi, ebx                            // where the loader's information lies: main's argument
    cmp eax, 0x36d76289
    jne no_multiboot2
    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb no_long_mode
    mov eax, 0x80000001
    cpuid
    test edx, 1 << 29
    jz no_long_mode

    mov eax, offset early_pdpt + 3          // present, writable
    mov [early_pml4], eax
    mov [early_pml4 + 256 * 8], eax         // DIRECT_MAP
    xor ecx, ecx
1:  mov eax, ecx                            // four page directories
    shl eax, 12
    add eax, offset early_pd + 3
    mov [early_pdpt + ecx * 8], eax
    inc ecx
    cmp ecx, 4
    jne 1b
    xor ecx, ecx
2:  mov eax, ecx                            // 2048 pages of 2 MiB
    shl eax, 21
    or eax, 0x83                            // present, writable, large
    mov [early_pd + ecx * 8], eax
    inc ecx
    cmp ecx, 2048
    jne 2b

    // Whatever the firmware switched on, such as 5-level paging, SSE or `syscall`, is off from here on.
    mov eax, offset early_pml4
    mov cr3, eax
    mov eax, 1 << 5                         // PAE
    mov cr4, eax
    mov ecx, 0xc0000080                     // EFER
    mov eax, 1 << 8                         // LME
    xor edx, edx
    wrmsr
    mov eax, 0x80010035                     // paging, write protection for ring 0 as well, no floating-point unit
    mov cr0, eax
    lgdt [early_gdt_pointer]
    push 8
    mov eax, offset long_mode
    push eax
    retf

no_multiboot2:
    mov esi, offset text_no_multiboot2
    jmp say
no_long_mode:
    mov esi, offset text_no_long_mode
say:                                        // to COM1 and the debug port, byte by byte
    lodsb
    test al, al
    jz fail
    out 0xe9, al
    mov ah, al
    mov dx, 0x3fd
4:  in al, dx                               // until there is room; all ones if there is no COM1
    test al, 0x20
    jz 4b
    mov al, ah
    mov dx, 0x3f8
    out dx, al
    jmp say
fail:
    mov dx, 0xf4                            // isa-debug-exit: a failed check
    mov al, 0x11
    out dx, al
3:  cli
    hlt
    jmp 3b

.code64
long_mode:
    xor eax, eax
    mov ss, eax
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov rsp, offset boot_stack_end
    xor ebp, ebp
    mov edi, edi
    call main
    ud2

.section .rodata.entry, "a"
text_no_multiboot2: .asciz "bootmem: not started by a multiboot2 loader\r\n"
text_no_long_mode: .asciz "bootmem: this CPU has no 64-bit mode\r\n"
.balign 8
early_gdt: .quad 0, 0x00209b0000000000      // null, 64-bit code
early_gdt_pointer:
    .word 15
    .long early_gdt

.section .bss.entry, "aw", @nobits
.balign 4096
early_pml4: .skip 4096
early_pdpt: .skip 4096
early_pd:   .skip 4 * 4096
.global boot_stack_guard
boot_stack_guard: .skip 4096                // unmapped once the final page tables are in use
.skip {stack_bytes}
boot_stack_end:
