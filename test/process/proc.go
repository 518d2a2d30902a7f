package process

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// RSS returns the memory that the child holds, in bytes. It is there on Linux only.
func (p *Process) RSS() (int64, error) { return p.memory("VmRSS:") }

// PeakRSS returns the most memory that the child has held since its start, in bytes. It is there on Linux only.
func (p *Process) PeakRSS() (int64, error) { return p.memory("VmHWM:") }

func (p *Process) memory(field string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, field); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("process %d: no %s", p.PID(), field)
}

// Listening returns the TCP addresses that the child listens on. It is there on Linux only, on little-endian machines.
func (p *Process) Listening() ([]netip.AddrPort, error) {
	sockets, err := p.sockets()
	if err != nil {
		return nil, err
	}
	var addresses []netip.AddrPort
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", p.PID(), table))
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			const listen = "0A"
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != listen || !sockets[f[9]] {
				continue
			}
			address, err := parseAddress(f[1])
			if err != nil {
				return nil, fmt.Errorf("/proc/net/%s: %w", table, err)
			}
			addresses = append(addresses, address)
		}
	}
	return addresses, nil
}

// parseAddress reads an address such as 0100007F:1F40, whose 32-bit words have the byte order of the machine.
func parseAddress(text string) (netip.AddrPort, error) {
	ip, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(ip)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	address, _ := netip.AddrFromSlice(raw)
	number, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(address.Unmap(), uint16(number)), err
}

// sockets returns the inodes of the child's sockets.
func (p *Process) sockets() (map[string]bool, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.PID()))
	if err != nil {
		return nil, err
	}
	inodes := map[string]bool{}
	for _, file := range files {
		target, err := os.Readlink(file)
		if err != nil {
			continue // closed meanwhile
		}
		if inode, ok := strings.CutPrefix(target, "socket:["); ok {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return inodes, nil
}
