//go:build !unix

package controllers

import "math"

// openFiles returns how many files the process may have open at a time: there is no limit.
func openFiles() uint64 { return math.MaxUint64 }
