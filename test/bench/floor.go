package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/minidoor/minidoor/test/process"
)

// floor is the reference program, running with one algorithm.
type floor struct {
	*process.Process

	address string
}

func (b *bench) startFloor(ctx context.Context, binary string, a algorithm) (*floor, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := process.Start(ctx, process.Config{Binary: binary, Args: []string{
		"-addr", address, "-wx", b.wechat.url, "-alg", a.flag, "-db", filepath.Join(b.folder, "floor-"+a.flag+".db"),
	}})
	if err != nil {
		return nil, err
	}
	for {
		if conn, err := net.Dial("tcp", address); err == nil {
			return &floor{p, address}, conn.Close()
		}
		select {
		case <-p.Ended():
			return nil, fmt.Errorf("floor: %w\n%s", p.Wait(), p.Output())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
