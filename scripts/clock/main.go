//go:build linux

// Clock runs a program on another day, as it is: what the program reads of the wall clock
// is so much ahead, and nothing else of the machine is changed.
//
//	clock -ahead 24h PROGRAM ARGUMENTS…
//
// Tests use it to have a server live the next day: a Go program is not fooled by libfaketime,
// for it calls no C library. Time since the machine's start, with which timers run, stays
// what it is.
//
// It takes away the page with which the kernel lets programs read the clock by themselves
// (vDSO), so that they must ask; then the kernel has this program answer (seccomp). It
// follows neither children that the program starts with a C library of their own nor the
// time stamps of files. Signals are passed on, and the exit status is the program's.
package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	ahead := flag.Duration("ahead", 24*time.Hour, "how far the clock is ahead; it may be negative")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	code, err := run(*ahead, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "clock:", err)
	}
	os.Exit(code)
}

// run starts the program, answers its questions until it ends, and returns its exit status.
func run(ahead time.Duration, args []string) (int, error) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return 127, err
	}
	runtime.LockOSThread() // the filter and the child are this thread's
	listener, err := filter()
	if err != nil {
		return 1, fmt.Errorf("have the kernel ask: %w", err)
	}
	p, err := os.StartProcess(path, args, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{Ptrace: true}})
	if err != nil {
		return 126, err
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(p.Pid, &status, 0, nil); err != nil || !status.Stopped() {
		return 1, fmt.Errorf("%s did not start: %v %v", path, status, err)
	}
	if err := errors.Join(hideClock(p.Pid), unix.PtraceDetach(p.Pid)); err != nil {
		return 1, errors.Join(fmt.Errorf("have %s ask: %w", path, err), p.Kill())
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
	go func() {
		for s := range signals {
			p.Signal(s) // where it has ended, nobody is left to be told
		}
	}()
	go answer(listener, ahead)
	state, err := p.Wait()
	if err != nil {
		return 1, err
	}
	if ws := state.Sys().(syscall.WaitStatus); ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return state.ExitCode(), nil
}

// filter has the kernel ask, for this thread and what it starts, whenever the wall clock is
// read; the answer is who is asked. This program itself reads it without a call.
func filter() (listener int, err error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	const number, firstArgument = 0, 16 // in struct seccomp_data
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLOCK_GETTIME, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: firstArgument},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.CLOCK_REALTIME, Jf: 1},
		{Code: unix.BPF_RET, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW},
	}
	rules := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&rules)))
	if errno != 0 {
		return 0, errno
	}
	unix.CloseOnExec(int(fd))
	return int(fd), nil
}

// hideClock makes a program that has not begun yet believe that the kernel has no vDSO: the
// entry of its auxiliary vector that tells where it is becomes one to be ignored.
func hideClock(pid int) error {
	const ignore, vdso = 1, 33 // AT_IGNORE, AT_SYSINFO_EHDR
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])) // from the third on
	at, err := strconv.ParseUint(fields[28-3], 10, 64)                                  // startstack: where the count of arguments is
	if err != nil {
		return err
	}
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	word := func() (v uint64) {
		var b [8]byte
		if _, e := mem.ReadAt(b[:], int64(at)); e != nil {
			err = e
		}
		at += 8
		return binary.NativeEndian.Uint64(b[:])
	}
	at += 8 * (word() + 1)          // arguments, and the nil behind them
	for word() != 0 && err == nil { // environment
	}
	for err == nil {
		switch word() {
		case 0:
			return err // a kernel without one
		case vdso:
			_, err = mem.WriteAt(binary.NativeEndian.AppendUint64(nil, ignore), int64(at)-8)
			return err
		}
		word()
	}
	return err
}

// question and reply are struct seccomp_notif and struct seccomp_notif_resp.
type question struct {
	id         uint64
	pid, flags uint32
	number     int32
	arch       uint32
	from       uint64
	args       [6]uint64
}

type reply struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// answer tells whoever asks what time it is there, until nobody is left.
func answer(listener int, ahead time.Duration) {
	for {
		var q question
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&q)))
		if errno == unix.EINTR || errno == unix.ENOENT { // who asked was killed meanwhile
			continue
		}
		if errno != 0 {
			return
		}
		r := reply{id: q.id}
		now := unix.NsecToTimespec(time.Now().Add(ahead).UnixNano())
		b := unsafe.Slice((*byte)(unsafe.Pointer(&now)), unsafe.Sizeof(now))
		local := []unix.Iovec{{Base: &b[0], Len: uint64(len(b))}}
		if _, err := unix.ProcessVMWritev(int(q.pid), local, []unix.RemoteIovec{{Base: uintptr(q.args[1]), Len: len(b)}}, 0); err != nil {
			r.errno = -int32(unix.EFAULT)
		}
		unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
	}
}
