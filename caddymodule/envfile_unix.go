//go:build unix

package caddymodule

import (
	"errors"
	"io/fs"
	"os"
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
