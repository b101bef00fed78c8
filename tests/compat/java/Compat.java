import io.pyroscope.labels.v2.LabelsSet;
import io.pyroscope.labels.v2.Pyroscope;
import java.lang.management.ManagementFactory;
import java.util.Map;

/**
 * A small workload under the Java agent. Prints what it did as JSON: the test looks for the methods named
 * ...ForFlamestore in what arrives.
 */
public final class Compat {
    /** Of CPU, however long a busy machine takes to give it: a profiler misses a few samples at the start and the end. */
    private static final long SPIN_NANOS = 4_000_000_000L;
    private static final int CHUNK_BYTES = 1 << 20;
    private static final int CHUNKS = 256;
    private static final int HANDOVERS = 60;
    private static final int HELD_MS = 20;
    private static final Object LOCK = new Object();

    static volatile Object kept;

    static long cpuNanos() {
        return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
    }

    static long spinForFlamestore(long untilCpuNanos) {
        long n = 0;
        while (cpuNanos() < untilCpuNanos) {
            for (int i = 0; i < 100_000; i++) {
                n += i % 7;
            }
        }
        return n;
    }

    static void allocateForFlamestore() {
        for (int i = 0; i < CHUNKS; i++) {
            kept = new byte[CHUNK_BYTES];
        }
    }

    static void lockForFlamestore() throws InterruptedException {
        for (int i = 0; i < HANDOVERS / 2; i++) {
            synchronized (LOCK) {
                Thread.sleep(HELD_MS);
            }
            // Gives the other thread its turn.
            Thread.sleep(1);
        }
    }

    private static void contend() throws InterruptedException {
        Thread other = new Thread(() -> {
            try {
                lockForFlamestore();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
        other.start();
        lockForFlamestore();
        other.join();
    }

    public static void main(String[] arguments) throws Exception {
        long[] spun = new long[2];
        // What the JVM does before the agent has started counts for nobody.
        Thread.sleep(500);
        Pyroscope.LabelsWrapper.run(new LabelsSet(Map.of("phase", "spin")), () -> {
            long before = cpuNanos();
            long began = System.nanoTime();
            long n = spinForFlamestore(before + SPIN_NANOS);
            spun[0] = cpuNanos() - before;
            spun[1] = System.nanoTime() - began;
            System.err.println(n);
        });
        allocateForFlamestore();
        contend();
        // The agent uploads every PYROSCOPE_UPLOAD_INTERVAL, and not when the program ends.
        Thread.sleep(Long.parseLong(arguments[0]));
        System.out.printf("{\"cpu_ns\":%d,\"wall_ns\":%d,\"alloc_bytes\":%d,\"alloc_count\":%d,\"lock_count\":%d,\"lock_ns\":%d}%n",
            spun[0], spun[1], (long) CHUNKS * CHUNK_BYTES, CHUNKS, HANDOVERS, (long) HANDOVERS * HELD_MS * 1_000_000L);
    }
}
