package vault

import (
	"reflect"
	"testing"
)

const (
	googleEmail   = "https://www.googleapis.com/auth/userinfo.email"
	googleProfile = "https://www.googleapis.com/auth/userinfo.profile"
)

func TestSplitScopes(t *testing.T) {
	for s, want := range map[string][]string{
		"": {}, " ,, ": {}, "a": {"a"}, "a b": {"a", "b"}, "a,b": {"a", "b"}, " a , b,,c ": {"a", "b", "c"}, "read:user,repo": {"read:user", "repo"},
	} {
		if got := SplitScopes(s); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

func TestMissingScopes(t *testing.T) {
	for _, tt := range []struct{ granted, wanted, want []string }{
		{nil, nil, nil},
		{[]string{"a"}, nil, nil},
		{nil, []string{"a"}, []string{"a"}},
		{[]string{"b", "a"}, []string{"a", "b"}, nil},
		{[]string{"b"}, []string{"c", "b", "a"}, []string{"c", "a"}},
		{[]string{"A"}, []string{"a"}, []string{"a"}},
		{[]string{googleEmail}, []string{"email"}, nil},
		{[]string{"email"}, []string{googleEmail}, nil},
		{[]string{"email"}, []string{googleProfile}, []string{googleProfile}},
		{[]string{"https://www.googleapis.com/auth/calendar"}, []string{"https://www.googleapis.com/auth/calendar.readonly"}, []string{"https://www.googleapis.com/auth/calendar.readonly"}},
	} {
		if got := MissingScopes(tt.granted, tt.wanted); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("granted %q, wanted %q: got %q, want %q", tt.granted, tt.wanted, got, tt.want)
		}
	}
}

func TestMergeScopes(t *testing.T) {
	for _, tt := range []struct{ granted, wanted, want []string }{
		{nil, nil, nil},
		{[]string{"a"}, []string{"b", "a", ""}, []string{"a", "b"}},
		{[]string{googleEmail}, []string{"email", "profile"}, []string{googleEmail, "profile"}},
		{[]string{"a", "a"}, nil, []string{"a"}},
	} {
		if got := MergeScopes(tt.granted, tt.wanted); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("granted %q, wanted %q: got %q, want %q", tt.granted, tt.wanted, got, tt.want)
		}
	}
}
