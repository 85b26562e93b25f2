// A few threads that share numbered pieces of work.
#pragma once
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace lizrcl::training {

class Pool {
public:
    explicit Pool(int threads) {
        for (int worker = 1; worker < threads; ++worker) crew_.emplace_back([this, worker] { serve(worker); });
    }
    ~Pool() {
        closing_ = true;
        round_.fetch_add(1);
        round_.notify_all();
        for (auto& thread : crew_) thread.join();
    }
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    int size() const { return int(crew_.size()) + 1; }

    // Calls work(piece, worker) for every piece; the caller is worker 0. Which worker gets which piece is not fixed.
    void run(int pieces, const std::function<void(int, int)>& work) {
        if (crew_.empty() || pieces < 2) {
            for (int piece = 0; piece < pieces; ++piece) work(piece, 0);
            return;
        }
        work_ = &work;
        pieces_ = pieces;
        next_ = 0;
        busy_ = int(crew_.size());
        round_.fetch_add(1);
        round_.notify_all();
        drain(0);
        int spin = 0;
        for (int left = busy_.load(); left != 0; left = busy_.load()) {
            if (++spin > patience) busy_.wait(left);
        }
    }

private:
    // Polls before a thread goes to sleep: shorter than the time the kernel takes to wake it.
    static constexpr int patience = 20000;

    void drain(int worker) {
        for (int piece = next_++; piece < pieces_; piece = next_++) (*work_)(piece, worker);
    }
    void serve(int worker) {
        for (int seen = 0;;) {
            int now = round_.load();
            for (int spin = 0; now == seen && spin < patience; ++spin) now = round_.load();
            while (now == seen) {
                round_.wait(seen);
                now = round_.load();
            }
            seen = now;
            if (closing_) return;
            drain(worker);
            if (busy_.fetch_sub(1) == 1) busy_.notify_all();
        }
    }

    std::vector<std::thread> crew_;
    const std::function<void(int, int)>* work_ = nullptr;
    int pieces_ = 0;
    std::atomic<int> next_{0}, busy_{0}, round_{0};
    std::atomic<bool> closing_{false};
};

} // namespace lizrcl::training
