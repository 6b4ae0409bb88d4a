package linkflow

import (
	"testing"
)

var callbackQueries = map[string]bool{
	"code=a&state=s": true, "connect_code=a&state=s": true, "error=e&state=s&error_description=d": true,
	"code=a": true, "code=a&iss=i&other=1&other=2": true,
	"": false, "state=s": false, "code=": false, "code=&state=s": false, "code=a&code=a": false, "code=a&connect_code=b": false,
	"code=a&error=": false, "code=a&connect_code=": false, "error=a&error=b": false, "code=a&state=s&state=s": false,
	"code=a&iss=i&iss=i": false, "error=a&error_description=b&error_description=c": false, "code=a;state=s": false, "code=%zz": false,
}

func TestACallbackSaysOneThing(t *testing.T) {
	for query, want := range callbackQueries {
		if _, err := parseCallback(query); (err == nil) != want {
			t.Errorf("%q: %v", query, err)
		}
	}
}

func FuzzCallbackQuery(f *testing.F) {
	for query := range callbackQueries {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := parseCallback(query)
		if err != nil {
			return
		}
		set := 0
		for _, value := range []string{q.Code, q.ConnectCode, q.Error} {
			if value != "" {
				set++
			}
		}
		if set != 1 {
			t.Errorf("%q says %d things", query, set)
		}
	})
}
