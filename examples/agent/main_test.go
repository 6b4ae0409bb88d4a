package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestTheAgentShowsTheLinkWaitsAndRetries(t *testing.T) {
	calls, polls := 0, 0
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	mux.HandleFunc("GET /api", func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls == 1 {
			w.Header().Set("Token-Vault-Error", "link_required")
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]string{
				"error": "link_required", "link_url": "https://link.example.com/", "status_url": server.URL + "/status?ticket=t",
			})
			return
		}
		_, _ = w.Write([]byte("events"))
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token" || r.URL.Query().Get("wait") == "" {
			t.Errorf("status asked with %v", r.URL)
		}
		status := "pending"
		if polls++; polls == 2 {
			status = "completed"
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"status": status})
	})
	var shown []string
	a := agent{token: "token", show: func(link string) { shown = append(shown, link) }}
	body, err := a.call(t.Context(), server.URL+"/api")
	if err != nil || string(body) != "events" {
		t.Fatalf("%s, %v", body, err)
	}
	if len(shown) != 1 || shown[0] != "https://link.example.com/" || calls != 2 || polls != 2 {
		t.Errorf("shown %v, %d calls, %d polls", shown, calls, polls)
	}
}

func TestTheAgentGivesUpWhenTheUserDeclines(t *testing.T) {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"status": "declined"})
	})
	if err := (&agent{token: "token"}).wait(t.Context(), server.URL+"/status?ticket=t"); err == nil {
		t.Error("no error")
	}
}

func TestA401OfTheAPIItselfIsNoLink(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	a := agent{token: "token", show: func(string) { t.Error("a link was shown") }}
	if _, err := a.call(t.Context(), server.URL); err == nil {
		t.Error("no error")
	}
}
