package controllers

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// A Casdoor that fails in part answers others meanwhile: the log goes on telling.
func TestCasdoorThatFailsInPart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		casdoor, told := &upstream{}, 0
		for range 50 {
			if casdoor.toTell() {
				told++
			}
			time.Sleep(upstreamPause / 2)
			assert.NoError(t, casdoor.answered(nil))
		}
		assert.Equal(t, 3, told, "in 25 seconds")
	})
}
