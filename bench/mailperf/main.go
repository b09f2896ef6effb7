// Command mailperf is the measuring kit of docs/performance.md. It talks to
// loopback addresses only.
//
//	mailperf corpus writes signed messages, and the records that they are checked by
//	mailperf load   drives an SMTP server with many sessions
//	mailperf sink   receives SMTP on one or many loopback addresses, with or without STARTTLS
//	mailperf watch  adds up CPU time and memory of a process tree until it is told to stop
//	mailperf drain  waits until the given queue directories hold no files
//	mailperf dns    stands for a validating resolver: one MX domain, answers with AD
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sort"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	// The driver shares the machine with what it measures.
	debug.SetGCPercent(800)
	args := os.Args[2:]
	switch os.Args[1] {
	case "corpus":
		cmdCorpus(args)
	case "load":
		cmdLoad(args)
	case "sink":
		cmdSink(args)
	case "watch":
		cmdWatch(args)
	case "drain":
		cmdDrain(args)
	case "dns":
		cmdDNS(args)
	default:
		usage()
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: mailperf corpus|load|sink|watch|drain|dns [flags]")
	os.Exit(2)
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "mailperf:", err)
		os.Exit(1)
	}
}

// loopbackOnly refuses any address that is not on this machine.
func loopbackOnly(addr string) {
	host, _, err := net.SplitHostPort(addr)
	fatal(err)
	ip := net.ParseIP(host)
	if ip == nil || !ip.IsLoopback() {
		fatal(fmt.Errorf("%s: not a loopback address", addr))
	}
}

func printJSON(v any) {
	buf, err := json.Marshal(v)
	fatal(err)
	fmt.Println(string(buf))
}

func round(f float64, digits int) float64 {
	p := 1.0
	for range digits {
		p *= 10
	}
	return float64(int64(f*p+0.5)) / p
}

// percentiles returns the p50, p95, p99 and maximum in milliseconds.
func percentiles(d []time.Duration) map[string]float64 {
	if len(d) == 0 {
		return nil
	}
	sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
	at := func(q float64) float64 {
		i := int(q * float64(len(d)-1))
		return round(float64(d[i].Microseconds())/1000, 2)
	}
	return map[string]float64{"p50": at(.5), "p95": at(.95), "p99": at(.99), "max": at(1)}
}
