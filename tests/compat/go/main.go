// Profiles a small workload with the Go SDK and stops: the test looks for spinForFlamestore in what arrives.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/grafana/pyroscope-go"
)

//go:noinline
func spinForFlamestore(until time.Time) (n int) {
	for time.Now().Before(until) {
		for i := 0; i < 100_000; i++ {
			n += i % 7
		}
	}
	return n
}

func main() {
	profiler, err := pyroscope.Start(pyroscope.Config{
		ApplicationName: "compat.golang",
		ServerAddress:   os.Args[1],
		Tags:            map[string]string{"region": "eu"},
		UploadRate:      2 * time.Second,
		ProfileTypes: []pyroscope.ProfileType{
			pyroscope.ProfileCPU, pyroscope.ProfileAllocObjects, pyroscope.ProfileAllocSpace,
			pyroscope.ProfileInuseObjects, pyroscope.ProfileInuseSpace, pyroscope.ProfileGoroutines,
		},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pyroscope.TagWrapper(context.Background(), pyroscope.Labels("phase", "spin"), func(context.Context) {
		fmt.Println(spinForFlamestore(time.Now().Add(5 * time.Second)))
	})
	if err := profiler.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
