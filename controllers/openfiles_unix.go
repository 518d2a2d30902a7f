//go:build unix

package controllers

import "syscall"

// openFiles returns how many files the process may have open at a time; 0: there is no limit.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur) // BSDs have it with a sign
}
