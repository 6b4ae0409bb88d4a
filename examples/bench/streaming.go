package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// What is not a short request and a short answer: the module has to be no
// different from bare Caddy.

func measureStreaming(ctx context.Context, s *stage) error {
	module, bare, token, err := s.compare(ctx, s.bareBeside)
	if err != nil {
		return err
	}
	tries := s.scale(100, 5)
	for _, first := range []struct {
		what string
		byte func(context.Context, *proxy, string) (float64, error)
	}{
		{"server-sent events: first byte, module ÷ bare", firstEvent},
		{"WebSocket: first echo from the start, module ÷ bare", firstEcho},
	} {
		pairs, err := inTurns(tries,
			func() (float64, error) { return first.byte(ctx, module, token) },
			func() (float64, error) { return first.byte(ctx, bare, token) })
		if err != nil {
			return err
		}
		s.row(first.what, noDifference, pairs.describe("ms"), pairs.alike(firstByteNoise))
	}
	for _, way := range []string{"download", "upload"} {
		if err := s.measureTransfer(ctx, way, module, bare, token); err != nil {
			return err
		}
	}
	return nil
}

const noDifference = "no difference beyond noise"

// What is noise, whatever was measured: half a turn of a busy scheduler in
// milliseconds, and what a garbage collector may leave for later in KiB.
const (
	firstByteNoise = 0.1
	memoryNoise    = 2 << 10
)

// alike tells whether the first's median is no more than the second's and noise:
// the known one, a tenth, or the width of the middle half of the second's values.
func (p *paired) alike(noise float64) bool {
	sorted := slices.Sorted(slices.Values(p.second))
	spread := sorted[len(sorted)*3/4] - sorted[len(sorted)/4]
	return median(p.first) <= median(p.second)+max(noise, spread, median(p.second)/10)
}

// firstEvent is how long the first byte of a stream of events takes, in
// milliseconds.
func firstEvent(ctx context.Context, p *proxy, token string) (float64, error) {
	const wanted = "data: first"
	return firstBytes(ctx, p, get(p.address, "/events", token), "", wanted)
}

// firstEcho is how long it takes to open a WebSocket and to get something back.
func firstEcho(ctx context.Context, p *proxy, token string) (float64, error) {
	upgrade := fmt.Sprintf("GET /socket HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", p.address, token)
	const frame = "\x81\x85\x00\x00\x00\x00hello" // text, masked with zeros
	return firstBytes(ctx, p, []byte(upgrade), frame, frame)
}

// firstBytes opens a connection, sends a request, sends something more when the
// answer's headers are there, and waits for a text.
func firstBytes(ctx context.Context, p *proxy, request []byte, more, wanted string) (float64, error) {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", p.address)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	start, reader := time.Now(), bufio.NewReader(conn)
	if _, err := conn.Write(request); err != nil {
		return 0, err
	}
	for line := ""; line != "\r\n"; {
		if line, err = reader.ReadString('\n'); err != nil {
			return 0, err
		}
	}
	if _, err := io.WriteString(conn, more); err != nil {
		return 0, err
	}
	got := make([]byte, 0, 64)
	for !strings.Contains(string(got), wanted) { // in a chunk, or not
		b, err := reader.ReadByte()
		if err != nil {
			return 0, fmt.Errorf("%w after %q", err, got)
		}
		got = append(got, b)
	}
	return milliseconds(time.Since(start)), nil
}

// measureTransfer moves a gibibyte through each proxy, several times.
func (s *stage) measureTransfer(ctx context.Context, way string, module, bare *proxy, token string) error {
	size := s.scale(1<<30, 32<<20)
	memory := make(map[*proxy][]float64)
	first := make(map[*proxy][]float64)
	of := func(p *proxy) func() (float64, error) {
		return func() (float64, error) {
			stop := p.most(ctx)
			started, took, err := s.transfer(ctx, way, p, token, size)
			peak, watching := stop()
			memory[p] = append(memory[p], float64(peak.Memory>>10))
			first[p] = append(first[p], milliseconds(started))
			return took.Seconds(), errors.Join(err, watching)
		}
	}
	pairs, err := inTurns(min(s.pairs, 5), of(module), of(bare))
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%d MiB %s, module ÷ bare: ", size>>20, way)
	s.row(what+"time", noDifference, pairs.describe("s"), pairs.alike(0))
	if way == "download" { // an upload is answered at its end
		starts := &paired{first: first[module], second: first[bare]}
		s.row(what+"first byte", noDifference,
			fmt.Sprintf("%.3g against %.3g ms", median(starts.first), median(starts.second)), starts.alike(firstByteNoise))
	}
	peaks := &paired{first: memory[module], second: memory[bare]}
	s.row(what+"most memory", noDifference,
		fmt.Sprintf("%.0f against %.0f KiB", median(peaks.first), median(peaks.second)), peaks.alike(memoryNoise))
	return nil
}

// transfer downloads or uploads so many bytes, and returns when the answer began
// and when all was done.
func (s *stage) transfer(ctx context.Context, way string, p *proxy, token string, size int) (started, took time.Duration, err error) {
	method, body := http.MethodGet, io.Reader(nil)
	if way == "upload" {
		method, body = http.MethodPost, io.LimitReader(zeros{}, int64(size))
	}
	req, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://%s/%s?bytes=%d", p.address, way, size), body)
	if err != nil {
		return 0, 0, err
	}
	if body != nil {
		req.ContentLength = int64(size)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	start := time.Now()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	started = time.Since(start)
	if resp.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("the %s was answered %d", way, resp.StatusCode)
	}
	if err := s.complete(way, resp.Body, size); err != nil {
		return 0, 0, err
	}
	return started, time.Since(start), nil
}

// complete reads an answer, and checks that nothing was lost either way.
func (s *stage) complete(way string, body io.Reader, size int) error {
	if way == "download" {
		n, err := io.Copy(io.Discard, body)
		if err == nil && n != int64(size) {
			err = fmt.Errorf("%d bytes of %d arrived", n, size)
		}
		return err
	}
	answer, err := io.ReadAll(body)
	if err == nil && string(answer) != fmt.Sprint(size) {
		err = fmt.Errorf("%s bytes of %d arrived", answer, size)
	}
	return err
}

// zeros are endless.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
