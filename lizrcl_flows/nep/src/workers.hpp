// Numbered pieces of work shared by a few threads.
#pragma once
#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

namespace lizrcl {

// Calls work(piece, worker) for all pieces; the caller is worker 0. Rethrows the failure of the first piece that failed.
inline void share(int pieces, int threads, const std::function<void(int, int)>& work) {
    const int crew = std::clamp(threads, 1, std::max(pieces, 1));
    if (crew == 1) {
        for (int piece = 0; piece < pieces; ++piece) work(piece, 0);
        return;
    }
    std::atomic<int> next{0};
    std::vector<std::exception_ptr> failures(pieces);
    const auto drain = [&](int worker) {
        for (int piece = next++; piece < pieces; piece = next++) {
            try {
                work(piece, worker);
            } catch (...) {
                failures[piece] = std::current_exception();
            }
        }
    };
    {
        std::vector<std::jthread> others;
        for (int worker = 1; worker < crew; ++worker) others.emplace_back(drain, worker);
        drain(0);
    }
    for (const auto& failure : failures)
        if (failure) std::rethrow_exception(failure);
}

} // namespace lizrcl
