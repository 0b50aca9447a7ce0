/* The bytes of the files that the list of shipped.sh has, between two labels each. */
#if defined(__APPLE__)
    .section __TEXT,__const
#define SYMBOL(name) _##name
#define HIDDEN(name) .private_extern SYMBOL(name)
#elif defined(_WIN32)
    .section .rdata,"dr"
#define SYMBOL(name) name
#define HIDDEN(name)
#else
    .section .rodata
#define SYMBOL(name) name
#define HIDDEN(name) .hidden name
#endif

#define LABEL(name) .globl SYMBOL(name); HIDDEN(name); SYMBOL(name):
#define FILE(label, path) .balign 64; LABEL(dn_file_##label) .incbin path; LABEL(dn_end_##label) .byte 0
#define ONE(name, label)
#define TWO(name, first, second, precision)
#include DN_SHIPPED_FILES

#if defined(__ELF__)
    .section .note.GNU-stack,"",%progbits
#endif
