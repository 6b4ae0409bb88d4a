package linkflow

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// legs and purposes are all that there are.
var (
	legs     = slices.Compact(slices.Sorted(slices.Values(slices.Concat(decisions, redeemed, []purpose{forUnlink}))))
	purposes = append([]purpose{forTicket, forForm, forSession, forMessage}, legs...)
)

func TestSealedForOneThingOpensForNoOther(t *testing.T) {
	f := stubFlow(t, nil, nil)
	content := ticket{ID: "x", Expiry: time.Now().Add(time.Minute).Unix()}
	other := map[string]*sealer{
		"another tenant": newSealer(StaticKeys(testKey), "x", "https://link.example.com"),
		"another origin": newSealer(StaticKeys(testKey), "", "https://other.example.com"),
		"shifted":        newSealer(StaticKeys(testKey), "https", "://link.example.com"),
		"another key":    newSealer(StaticKeys(make([]byte, keySize)), "", "https://link.example.com"),
	}
	for _, p := range purposes {
		text, err := seal(t.Context(), f.sealer, p, content)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range purposes {
			if _, err := open[ticket](t.Context(), f.sealer, q, text); (err == nil) != (p == q) {
				t.Errorf("sealed for %s, opened for %s: %v", p, q, err)
			}
		}
		for name, s := range other {
			if _, err := open[ticket](t.Context(), s, p, text); err != errTampered {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, bad := range []string{"", text[1:], text + "\n", text + "=", strings.Repeat("A", maxSealed+1)} {
			if _, err := open[ticket](t.Context(), f.sealer, p, bad); err != errTampered {
				t.Errorf("%q: %v", bad, err)
			}
		}
	}
}

// So that random nonces never wear a key out; and small, since cookies have no room.
func TestEachMessageHasAKeyOfItsOwn(t *testing.T) {
	s := newSealer(StaticKeys(testKey), "", "")
	content := ticket{ID: "x", Expiry: time.Now().Add(time.Minute).Unix()}
	plain, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	var sealed [2][]byte
	for i := range sealed {
		text, err := seal(t.Context(), s, forTicket, content)
		if err != nil {
			t.Fatal(err)
		}
		if sealed[i], err = base64.RawURLEncoding.DecodeString(text); err != nil {
			t.Fatal(err)
		}
		if more := len(sealed[i]) - len(plain); more != 41 {
			t.Errorf("the seal takes %d bytes", more)
		}
	}
	const head = 1 + saltSize
	if bytes.Equal(sealed[0][:head], sealed[1][:head]) {
		t.Error("both have the same salt")
	}
	mixed := base64.RawURLEncoding.EncodeToString(slices.Concat(sealed[0][:head], sealed[1][head:]))
	if _, err := open[ticket](t.Context(), s, forTicket, mixed); err != errTampered {
		t.Errorf("the one's key opens the other: %v", err)
	}
}

// ofVersion is a sealed text as another version of this code might have made it.
func ofVersion(t *testing.T, version byte, text string) string {
	t.Helper()
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	sealed[0] = version
	return base64.RawURLEncoding.EncodeToString(sealed)
}

func TestWhatAnotherVersionSealedDoesNotOpen(t *testing.T) {
	s := newSealer(StaticKeys(testKey), "", "")
	for _, p := range purposes {
		text, err := seal(t.Context(), s, p, ticket{ID: "x", Expiry: time.Now().Add(time.Minute).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		for _, version := range []byte{0, sealVersion + 1, 255} {
			if _, err := open[ticket](t.Context(), s, p, ofVersion(t, version, text)); err != errTampered {
				t.Errorf("%s of version %d: %v", p, version, err)
			}
		}
	}
}

// While nodes are upgraded one after the other, and after that: what is of no use any
// more is told as such, and stands in nobody's way.
func TestWhoWasOnTheWayDuringAnUpgradeBeginsAgain(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	alice := w.alice()
	link := w.link(alice, calendar)
	b := w.browser().toAccounts("alice").toConfirm(link)
	confirm, left := b.at.String(), b.tab()
	at, _ := url.Parse(w.site.URL)
	for _, c := range b.jar.Cookies(at) {
		if count, text, ok := strings.Cut(c.Value, "."); ok && IsCookie(c.Name) {
			b.setCookie(&http.Cookie{Name: c.Name, Value: count + "." + ofVersion(t, sealVersion-1, text)})
		}
	}
	left.press("action", "connect").wantRefused(400, "no_flow")
	b.open(confirm).wantRefused(400, "no_flow")
	b.open(w.site.URL+"/auth/accounts").want(200, "Sign in")
	old := ofVersion(t, sealVersion-1, ticketOf(link))
	b.open(w.site.URL+"/auth/connect?ticket="+old).want(400, "does not work")
	if _, err := w.flow.Status(t.Context(), alice, old, 0); err != ErrNoTicket {
		t.Errorf("the status of it: %v", err)
	}
	b.open(link.URL)
	_, fields := b.form()
	form := ofVersion(t, sealVersion-1, fields.Get("form"))
	b.submit(url.Values{"form": {form}}).wantRefused(403, "form_token")
	b.toConsent(link).consent("allow").want(200, "is connected")
}

func TestTheFirstKeySealsAndAllOpen(t *testing.T) {
	old, fresh := testKey, bytes.Repeat([]byte{9}, keySize)
	content := ticket{ID: "x", Expiry: time.Now().Add(time.Minute).Unix()}
	text := func(keys ...[]byte) string {
		text, err := seal(t.Context(), newSealer(StaticKeys(keys...), "", ""), forTicket, content)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	both := newSealer(StaticKeys(fresh, old), "", "")
	for _, sealed := range []string{text(old), text(fresh), text(fresh, old)} {
		if _, err := open[ticket](t.Context(), both, forTicket, sealed); err != nil {
			t.Error(err)
		}
	}
	if _, err := open[ticket](t.Context(), newSealer(StaticKeys(old), "", ""), forTicket, text(fresh, old)); err == nil {
		t.Error("the second key sealed")
	}
}

func TestWhatIsSealedHasToBeUnderstood(t *testing.T) {
	s := newSealer(StaticKeys(testKey), "", "")
	text, err := seal(t.Context(), s, forTicket, raw(`{"id":"a","id":"b","exp":99999999999}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open[ticket](t.Context(), s, forTicket, text); err != errTampered {
		t.Errorf("a member given twice: %v", err)
	}
}

type raw string

func (raw) expires() int64 { return 0 }

func (r raw) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func TestKeysAreLoadedOnceAndAgainAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := newSealer(func(context.Context) ([][]byte, error) {
			time.Sleep(time.Second)
			if calls++; calls == 1 {
				return nil, errors.New("storage is away")
			}
			return [][]byte{testKey}, nil
		}, "", "")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		failed := make(chan error, 1)
		go func() { _, err := s.keys(t.Context()); failed <- err }()
		synctest.Wait()
		if _, err := s.keys(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that gives up: %v", err)
		}
		if err := <-failed; err == nil || !strings.Contains(err.Error(), "storage is away") {
			t.Errorf("the first call: %v", err)
		}
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if _, err := s.keys(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if calls != 2 {
			t.Errorf("loaded %d times", calls)
		}
	})
}

func FuzzTicket(f *testing.F) { fuzzOpen[ticket](f, forTicket) }

func FuzzFlowCookie(f *testing.F) { fuzzOpen[flowState](f, forConfirm) }

// fuzzOpen looks for a text that opens and is not what was sealed.
func fuzzOpen[T expiring](f *testing.F, p purpose) {
	s := newSealer(StaticKeys(testKey), "tenant", "https://link.example.com")
	expiry := time.Now().Add(time.Hour).Unix()
	for _, q := range purposes {
		for _, content := range []expiring{ticket{ID: string(q), Expiry: expiry}, flowState{ID: string(q), Expiry: expiry}} {
			text, err := seal(context.Background(), s, q, content)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Add("")
	f.Add("AAAA\n")
	f.Fuzz(func(t *testing.T, text string) {
		content, err := open[T](t.Context(), s, p, text)
		if err == nil && !strings.Contains(fmt.Sprintf("%+v", content), "ID:"+string(p)) {
			t.Errorf("%q opens", text)
		}
	})
}
