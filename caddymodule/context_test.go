package caddymodule

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// Contexts get printed, by logs and by panics.
func TestAPrintedContextShowsNoCredential(t *testing.T) {
	const secret = "the-agents-access-token"
	c := &call{Context: context.Background(), credential: secret}
	c.room.copy([]string{"Bearer " + secret})
	type key struct{}
	below, cancel := context.WithCancel(context.WithValue(c, key{}, "value"))
	defer cancel()
	for _, ctx := range []context.Context{c, below} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(format, ctx); strings.Contains(text, secret) {
				t.Errorf("%s shows it", format)
			}
		}
	}
}
