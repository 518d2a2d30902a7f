package provider

import "log/slog"

// Secret is a string that prints as "***", whatever prints it. Reveal gives the string itself. Only an unexported field
// of a struct is bare to fmt, which asks no methods there: such a struct needs a Format or String method of its own.
type Secret string

const mask = "***"

// Reveal returns the secret in clear. Call it only where the secret is used.
func (s Secret) Reveal() string { return string(s) }

// String returns "***", or "" for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// LogValue is String, for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String, for JSON and the like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
