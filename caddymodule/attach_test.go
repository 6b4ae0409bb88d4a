package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Requests' variables get printed, by logs, templates and panics.
func TestAPrintedCallShowsNoCredential(t *testing.T) {
	const secret = "the-agents-access-token"
	c := &attached{call: call{credential: secret}}
	c.values.copy([]string{"Bearer " + secret})
	variables := map[string]any{attachedVariable: c}
	ctx := context.WithValue(context.Background(), caddyhttp.VarsCtxKey, variables)
	for _, value := range []any{c, variables, ctx} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if text := fmt.Sprintf(format, value); strings.Contains(text, secret) {
				t.Errorf("%s of a %T shows it", format, value)
			}
		}
	}
	if text, err := json.Marshal(variables); err != nil || strings.Contains(string(text), secret) {
		t.Errorf("%s, %v", text, err)
	}
	if text := caddy.ToString(c); text != attachedVariable {
		t.Errorf("%q", text)
	}
}
