package controllers

import (
	"context"
	"crypto/rand"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

const requestIDHeader = "X-Request-Id"

// serving is what belongs to a request, beside what beego knows of it.
type serving struct {
	id string

	// last is done when beego has returned: it need not keep what beego has for a request while a crowd waits.
	last func(http.ResponseWriter)
}

type servingKey struct{}

// withServing returns the request's context with its serving. Its id joins log lines and reply: it is the client's own,
// when it sends a sane one.
func withServing(r *http.Request) (context.Context, *serving) {
	id := r.Header.Get(requestIDHeader)
	if len(id) > 64 || strings.ContainsFunc(id, notIDRune) || id == "" {
		id = rand.Text()
	}
	s := &serving{id: id}
	return context.WithValue(r.Context(), servingKey{}, s), s
}

// servingOf returns the serving of a request's context; of another context, an empty one.
func servingOf(ctx context.Context) *serving {
	if s, ok := ctx.Value(servingKey{}).(*serving); ok {
		return s
	}
	return &serving{}
}

func notIDRune(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r))
}

func requestID(ctx context.Context) string { return servingOf(ctx).id }

// clientIP returns the address that the request came from, past the proxies that we trust.
func (d *Deps) clientIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	address := host
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && d.trusts(address); i-- {
		hop, err := parseHop(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		address = hop.Unmap().WithZone("").String() // which is of the sender's choice, and of any length
	}
	return address
}

// parseHop reads an address, which some proxies send with its port, and one of IPv6 perhaps in brackets.
func parseHop(hop string) (netip.Addr, error) {
	if both, err := netip.ParseAddrPort(hop); err == nil {
		return both.Addr(), nil
	}
	if inside, found := strings.CutPrefix(hop, "["); found {
		hop = strings.TrimSuffix(inside, "]")
	}
	return netip.ParseAddr(hop)
}

func (d *Deps) trusts(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && d.trustsIP(ip.Unmap())
}

func (d *Deps) trustsIP(ip netip.Addr) bool {
	return slices.ContainsFunc(d.TrustedProxies, func(proxies netip.Prefix) bool { return proxies.Contains(ip) })
}

// origin is the server's public URL, and so the issuer of its tokens: as configured, or else as the request names it.
func (d *Deps) origin(r *http.Request) string {
	if d.Origin != "" {
		return d.Origin
	}
	scheme := "http"
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil && d.trusts(host) {
		if r.Header.Get("X-Forwarded-Proto") == "https" {
			scheme = "https"
		}
	}
	return scheme + "://" + r.Host
}
