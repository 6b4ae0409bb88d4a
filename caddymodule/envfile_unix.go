//go:build unix

package caddymodule

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// checkOwner tells why a file is not one that we alone have.
func checkOwner(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || int(stat.Uid) != os.Geteuid():
		return errors.New("belongs to somebody else")
	case stat.Nlink != 1:
		return errors.New("has another name too, which is a hard link")
	case info.Mode().Perm()&0o077 != 0:
		return errors.New("is open to others: chmod 600 it, if what is in it may be secret")
	}
	return nil
}

// checkWay tells why others may replace what is in a directory: by it, or by one of
// those, or of the links, on the way there.
func checkWay(dir string) error {
	if !filepath.IsAbs(dir) {
		here, err := os.Getwd()
		if err != nil {
			return err
		}
		dir = here + "/" + dir
	}
	at, links := "/", 0
	for names := strings.Split(dir, "/"); ; names = names[1:] {
		info, err := os.Lstat(at)
		if err != nil {
			return err
		}
		if err := checkDirectory(info); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(at)
			if links++; err != nil || links > 40 {
				return fmt.Errorf("%s: a link that leads nowhere", at)
			}
			if at = filepath.Dir(at); filepath.IsAbs(target) {
				at = "/"
			}
			names = append(strings.Split(target, "/"), names...)
		}
		if len(names) == 0 {
			return nil
		}
		at = filepath.Join(at, names[0]) // no link is in at, so that .. is its parent
	}
}

// checkDirectory tells why others may replace what is in a directory, or the link to it.
func checkDirectory(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		return errors.New("belongs to somebody else, who may replace what it leads to")
	case info.IsDir() && info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0:
		return errors.New("is open for others to replace what is in it: chmod go-w it, or name a file elsewhere")
	}
	return nil
}
