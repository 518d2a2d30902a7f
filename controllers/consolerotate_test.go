package controllers

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestNextCertName(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 1, 2, 3, 0, time.FixedZone("", 3600))
	assert.Equal(t, "cert-shop-20261130-000203", nextCertName("app-shop", now))
	long := nextCertName(strings.Repeat("店", 100), now)
	assert.Equal(t, 100, utf8.RuneCountInString(long))
	assert.True(t, strings.HasSuffix(long, "店-20261130-000203"))
}
