"""Thin, typed wrappers of Linux system calls and /proc; they keep the kernel's names."""
