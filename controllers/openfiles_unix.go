//go:build unix

package controllers

import (
	"math"
	"syscall"
)

// openFiles returns how many files the process may have open at a time.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxUint64
	}
	return uint64(limit.Cur) // BSDs have it with a sign
}
