package main

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 wants it
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// upstream is the API behind the proxies.
//
//	/          1 KB
//	/denied    401, whatever token comes
//	/events    one server-sent event, then nothing until the client goes
//	/socket    a WebSocket's upgrade, after which it sends back what it gets
//	/download  as many bytes as ?bytes= says
//	/upload    reads the body
type upstream struct {
	address string
	server  *http.Server
	last    atomic.Value // string: the last Authorization
}

func startUpstream() (*upstream, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{address: listener.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("/", u.serve)
	mux.HandleFunc("/denied", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	mux.HandleFunc("/events", serveEvents)
	mux.HandleFunc("/socket", serveSocket)
	mux.HandleFunc("/download", serveDownload)
	mux.HandleFunc("/upload", serveUpload)
	u.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = u.server.Serve(listener) }()
	return u, nil
}

func (u *upstream) close() { _ = u.server.Close() }

// closeIdle closes connections that a proxy keeps for later, and with them the
// goroutines that they cost the proxy.
func (u *upstream) closeIdle() {
	u.server.SetKeepAlivesEnabled(false)
	u.server.SetKeepAlivesEnabled(true)
}

var kilobyte = []byte(strings.Repeat("0123456789abcdef", 64))

func (u *upstream) serve(w http.ResponseWriter, r *http.Request) {
	u.last.Store(r.Header.Get("Authorization"))
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write(kilobyte)
}

func serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: first\n\n")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func serveSocket(w http.ResponseWriter, r *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see above
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	if err == nil {
		_, _ = io.Copy(conn, buffered) // frames come back as they are: nobody here reads them
	}
}

func serveDownload(w http.ResponseWriter, r *http.Request) {
	left, _ := strconv.Atoi(r.URL.Query().Get("bytes"))
	w.Header().Set("Content-Length", strconv.Itoa(left))
	block := make([]byte, 64<<10)
	for left > 0 {
		n, err := w.Write(block[:min(left, len(block))])
		if err != nil {
			return
		}
		left -= n
	}
}

func serveUpload(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	fmt.Fprint(w, n)
}
