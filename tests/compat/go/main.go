// Profiles a small workload with the Go SDK, all profile types of it, and prints what it did as JSON: the test looks
// for the functions named ...ForFlamestore in what arrives.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/grafana/pyroscope-go"
)

const (
	chunkBytes = 1 << 20
	allocated  = 64 // chunks
	kept       = 16 // chunks
	parked     = 25 // goroutines
	handovers  = 40
	held       = 10 * time.Millisecond
)

var keep = make([][]byte, 0, kept)

//go:noinline
func spinForFlamestore(until time.Time) (n int) {
	for time.Now().Before(until) {
		for i := 0; i < 100_000; i++ {
			n += i % 7
		}
	}
	return n
}

//go:noinline
func allocateForFlamestore() {
	for i := 0; i < allocated; i++ {
		chunk := make([]byte, chunkBytes)
		if i < kept {
			keep = append(keep, chunk)
		}
	}
	// A heap profile shows what was allocated before the last full collection.
	runtime.GC()
	runtime.GC()
}

//go:noinline
func parkForFlamestore(done chan struct{}) { <-done }

// The SDK counts a contention where the lock is given back.
//
//go:noinline
func unlockForFlamestore(mutex *sync.Mutex) {
	time.Sleep(held)
	mutex.Unlock()
}

func contend() {
	var mutex sync.Mutex
	var group sync.WaitGroup
	for worker := 0; worker < 2; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := 0; i < handovers/2; i++ {
				mutex.Lock()
				unlockForFlamestore(&mutex)
			}
		}()
	}
	group.Wait()
}

//go:noinline
func waitForFlamestore(turns chan struct{}) {
	for range turns {
	}
}

func block() {
	turns := make(chan struct{})
	go func() {
		for i := 0; i < handovers; i++ {
			time.Sleep(held)
			turns <- struct{}{}
		}
		close(turns)
	}()
	waitForFlamestore(turns)
}

func cpuNanos() int64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	// Every allocation, contention and wait is counted, so that the test can compare totals.
	runtime.MemProfileRate = 1
	runtime.SetMutexProfileFraction(1)
	runtime.SetBlockProfileRate(1)
	profiler, err := pyroscope.Start(pyroscope.Config{
		ApplicationName: "compat.golang",
		ServerAddress:   os.Args[1],
		Tags:            map[string]string{"region": "eu"},
		UploadRate:      2 * time.Second,
		ProfileTypes: []pyroscope.ProfileType{
			pyroscope.ProfileCPU, pyroscope.ProfileAllocObjects, pyroscope.ProfileAllocSpace,
			pyroscope.ProfileInuseObjects, pyroscope.ProfileInuseSpace, pyroscope.ProfileGoroutines,
			pyroscope.ProfileMutexCount, pyroscope.ProfileMutexDuration,
			pyroscope.ProfileBlockCount, pyroscope.ProfileBlockDuration,
		},
	})
	must(err)
	done := make(chan struct{})
	for i := 0; i < parked; i++ {
		go parkForFlamestore(done)
	}
	allocateForFlamestore()
	contend()
	block()
	var spun int64
	pyroscope.TagWrapper(context.Background(), pyroscope.Labels("phase", "spin"), func(context.Context) {
		before := cpuNanos()
		fmt.Fprintln(os.Stderr, spinForFlamestore(time.Now().Add(4*time.Second)))
		spun = cpuNanos() - before
	})
	must(profiler.Stop())
	close(done)
	must(json.NewEncoder(os.Stdout).Encode(map[string]int64{
		"cpu_ns":      spun,
		"alloc_bytes": allocated * chunkBytes,
		"alloc_count": allocated,
		"inuse_bytes": int64(len(keep)) * chunkBytes,
		"inuse_count": int64(len(keep)),
		"goroutines":  parked,
		"waits":       handovers,
		"wait_ns":     handovers * held.Nanoseconds(),
	}))
}
