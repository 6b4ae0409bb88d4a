package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// An envFile is the name of a file for its owner only, in which setup keeps secrets.
// Its directory has to be one where nobody else can put another file in its place.
// What is appended comes with a new file that takes the place of the old one: whoever
// has that open reads no more than they did.
type envFile string

// open returns what is in the file, and finds out whether it can be replaced before
// there is a secret to keep.
func (f envFile) open() (there string, err error) {
	return there, f.change(func(before string) string { there = before; return before })
}

// Write appends to the file.
func (f envFile) Write(p []byte) (int, error) {
	if err := f.change(func(before string) string { return before + string(p) }); err != nil {
		return 0, err
	}
	return len(p), nil
}

// change replaces what is in the file, while no other setup does.
func (f envFile) change(with func(before string) string) error {
	dir, _ := filepath.Split(string(f))
	if err := checkWay(dir); err != nil {
		return err
	}
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	before, err := f.read()
	if err != nil {
		return err
	}
	return f.replace(with(before))
}

// lockPatience is how long another setup may have the file. A change takes milliseconds.
const lockPatience = 10 * time.Second

// lock makes a file beside that no other setup can make until it is gone.
func (f envFile) lock() (unlock func(), err error) {
	name := string(f) + ".lock"
	for began := time.Now(); ; time.Sleep(lockPatience / 1000) {
		file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator names it
		switch {
		case err == nil:
			return func() { _ = os.Remove(name) }, file.Close()
		case !errors.Is(err, fs.ErrExist):
			return nil, err
		case time.Since(began) > lockPatience:
			return nil, fmt.Errorf("%s: another setup is writing here; remove this file if there is none", name)
		}
	}
}

// read returns the lines of the file, also the last one with an end; of none, if it
// is not there yet.
func (f envFile) read() (string, error) {
	info, err := os.Lstat(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if err := checkPrivate(info); err != nil {
		return "", fmt.Errorf("%s: %w", f, err)
	}
	file, err := os.Open(string(f))
	if err != nil {
		return "", err
	}
	defer file.Close()
	if opened, err := file.Stat(); err != nil || !os.SameFile(info, opened) {
		return "", fmt.Errorf("%s: became another file", f)
	}
	data, err := io.ReadAll(file)
	there := string(data)
	if there != "" && !strings.HasSuffix(there, "\n") {
		there += "\n"
	}
	return there, err
}

// checkPrivate tells why a file is not to hold secrets.
func checkPrivate(info fs.FileInfo) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return errors.New("is a symbolic link: name the file itself")
	case !info.Mode().IsRegular():
		return errors.New("is no regular file")
	}
	return checkOwner(info)
}

func (f envFile) replace(content string) (err error) {
	next, err := os.CreateTemp(filepath.Dir(string(f)), "."+filepath.Base(string(f))+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(next.Name())
		}
	}()
	_, err = next.WriteString(content)
	if err := errors.Join(err, next.Sync(), next.Close()); err != nil {
		return err
	}
	return os.Rename(next.Name(), string(f))
}
